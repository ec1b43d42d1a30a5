"""Errors of a judge, rates corrected for them, and two readers' agreement: against plain sums and simulation."""

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from written import run_folder

from unlearnkit.errors import UserError
from unlearnkit.judges.embedded import read_rows
from unlearnkit.measures.interval import share
from unlearnkit.tables.calibration import (
    ALL,
    SECOND,
    Errors,
    by_method,
    corrected,
    errors,
    kappa,
    main,
    rates,
    second_labels,
)
from unlearnkit.tables.reading import read_run


def bools(text):
    return [letter == "1" for letter in text]


def of(hits, n):
    return share([1.0] * hits + [0.0] * (n - hits))


def test_errors_by_hand():
    found = errors(bools("1111100000"), bools("1111010000"))
    assert (found.sensitivity.value, found.sensitivity.n) == (0.8, 5)
    assert (found.specificity.value, found.specificity.n) == (0.8, 5)


def test_each_method_has_its_own():
    rows = [
        {"source": source, "kind": kind}
        for source in ("m", "m after sku", "m after ft", "written")
        for kind in ("direct_answer", "denied")
    ]
    found = by_method(rows, bools("10" "11" "00" "01"))  # fmt: skip
    told = {name: (own.sensitivity.value, own.specificity.value) for name, own in found.items()}
    assert told == {"original": (1, 1), "sku": (1, 0), "ft": (0, 1), "written": (0, 0), ALL: (2 / 3, 2 / 3)}
    assert not found[ALL].usable  # too few


@pytest.mark.parametrize(
    ("seen", "se", "sp", "true"),
    [
        ((30, 100), (90, 100), (80, 100), 1 / 7),
        ((5, 100), (90, 100), (80, 100), 0.0),
        ((99, 100), (9, 10), (9, 10), 1.0),
    ],
)
def test_the_corrected_rate(seen, se, sp, true):
    found = corrected(of(*seen), Errors(of(*se), of(*sp)))
    assert found.value == pytest.approx(true) and 0 <= found.low <= found.value <= found.high <= 1


def test_a_judge_without_errors_changes_little():
    found = corrected(of(20, 100), Errors(of(5000, 5000), of(5000, 5000)))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(of(20, 100).low, abs=0.01),
        pytest.approx(of(20, 100).high, abs=0.01),
    )


@pytest.mark.parametrize(("true", "n"), [(0.02, 60), (0.1, 30), (0.1, 200), (0.5, 60), (0.8, 100)])
def test_the_interval_covers(true, n):
    random, se, sp, labels = np.random.default_rng(0), 0.9, 0.85, 60
    covered = 0
    for _ in range(600):
        harmful = random.binomial(n, true)
        seen = random.binomial(harmful, se) + random.binomial(n - harmful, 1 - sp)
        own = Errors(of(random.binomial(labels, se), labels), of(random.binomial(labels, sp), labels))
        found = corrected(of(seen, n), own)
        covered += found.low <= true <= found.high
    assert covered / 600 > 0.93


def test_kappa_is_sklearns_and_covers():
    random = np.random.default_rng(1)
    one = random.random(80) < 0.4
    other = np.where(random.random(80) < 0.1, ~one, one)
    found = kappa(one.tolist(), other.tolist())
    assert found.value == pytest.approx(cohen_kappa_score(one, other)) and found.low < found.value < found.high
    assert np.isnan(kappa([True] * 5, [True] * 5).value)
    assert kappa(bools("1010"), bools("1010")).value == 1


def test_kappas_interval_covers():
    random = np.random.default_rng(2)
    true = kappa(*(list(map(bool, x)) for x in _readers(np.random.default_rng(9), 200_000))).value
    covered = 0
    for _ in range(400):
        found = kappa(*(list(map(bool, x)) for x in _readers(random, 100)))
        covered += found.low <= true <= found.high
    assert covered / 400 > 0.92


def _readers(random, n):
    one = random.random(n) < 0.4
    return one, np.where(random.random(n) < 0.1, ~one, one)


def test_the_second_labels_are_of_held_out_answers_of_every_method():
    rows = [row for row in read_rows() if row["split"] == "heldout"]
    one, other = second_labels(rows)
    sources = {row["source"] for row in rows if row["id"] in json.loads(SECOND.read_text())}
    assert len(one) == len(other) == 80 and len(sources) == 4
    assert kappa(one, other).low > 0.6


@pytest.mark.parametrize("told", [{"nobody": "denied"}, {"model-115": "fine"}])
def test_a_label_of_no_row_or_no_kind(told, tmp_path):
    (tmp_path / "second.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="which is no held-out row or no kind"):
        second_labels([row for row in read_rows() if row["split"] == "heldout"], tmp_path / "second.json")


def test_a_runs_rates_take_its_methods_errors_where_there_are_enough(tmp_path):
    run = read_run(run_folder(tmp_path, rate=0.3))
    own, every = Errors(of(9, 10), of(9, 10)), Errors(of(80, 100), of(80, 100))
    told = rates(run, {"sku": own, ALL: every})
    assert [(moment, name, whose) for moment, name, _, whose, _ in told] == [
        ("before", "safety/unseen", ALL),
        ("after", "safety/unseen", "sku"),
    ]
    assert told[1][4].value == pytest.approx((0.3 + 0.9 - 1) / 0.8)
    few = Errors(of(9, 9), of(9, 10))
    assert rates(run, {"sku": few, ALL: every})[1][3] == ALL


def test_the_command(tmp_path, capsys):
    assert main([str(run_folder(tmp_path / "run"))]) == 0
    out = capsys.readouterr().out
    assert "sensitivity" in out and "task_vector" in out and "kappa" in out and "corrected" in out
    assert main([str(tmp_path / "nothing")]) == 2
