"""Tables at matched utility, of runs written by hand: chosen on validation, reported on test, nothing in between."""

import json
import math

import pytest

from unlearnkit.errors import UserError
from unlearnkit.measures import HarmfulRate, KnownAnswers
from unlearnkit.measures.display import written
from unlearnkit.tables.__main__ import main
from unlearnkit.tables.matched import matched
from unlearnkit.tables.reading import collect

HARM, KNOWN = ("safety", "unlearned", "harmful_rate"), ("safety", "normal", "known_answers")


def number(value):
    value = None if value is None or math.isnan(value) else value
    return {"value": value, "low": value, "high": value, "n": 50, "seed": 0}


def numbers(harmful, known):
    return {"safety": {"unlearned": {"harmful_rate": number(harmful)}, "normal": {"known_answers": number(known)}}}


def write(folder, method, split, points, seed=0, rate=1e-4, beside=None):
    """points: step -> (harmful, known); `beside`: the same of the second of two splits."""
    folder.mkdir(parents=True)
    shown = {
        "/".join(HARM): written(HarmfulRate().display("forget")),
        "/".join(KNOWN): written(KnownAnswers().display("retain")),
    }
    curve = [{"stage": "s", "step": step, "metrics": numbers(*values)} for step, values in points.items()]
    for point in curve:
        if beside and point["step"] in beside:
            point["beside"] = {split[1]: numbers(*beside[point["step"]])}
    body = {
        "run": {"method": method, "model": "m", "data": "d", "seed": seed},
        "before": numbers(0.7, 0.9),
        "after": numbers(0.0, 0.0),
        "curve": curve,
        "attacks": [],
        "columns": shown,
    }
    (folder / "metrics.json").write_text(json.dumps(body))
    config = {"seed": seed, "curve_split": split, "train": {"arguments": {"learning_rate": rate}}}
    (folder / "config.yaml").write_text(json.dumps(config))


VALID = {0: (0.7, 0.8), 10: (0.4, 0.76), 20: (0.2, 0.704), 30: (0.1, 0.4)}  # of .8 kept: .95, .88, .5
TESTED = {0: (0.6, 0.9), 10: (0.5, 0.5), 20: (0.3, 0.6), 30: (0.05, 0.9)}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "v", "sku", "validation", VALID)
    write(tmp_path / "t", "sku", "test", TESTED)
    return tmp_path


def cells(table, row):
    return [pytest.approx(cell.value) for cell in table.rows[row].values()]


@pytest.mark.parametrize(
    ("at", "reported", "said"),
    [
        (0.9, (0.5, 0.5), "step 10 at a rate of 0.0001, which keeps 95%"),
        (0.8, (0.3, 0.6), "step 20 at a rate of 0.0001, which keeps 88%"),
        (0.5, (0.05, 0.9), "step 30 at a rate of 0.0001, which keeps 50%"),
        (0.96, (0.6, 0.9), "the start itself, which keeps 100%"),
    ],
)
def test_chosen_on_validation_and_reported_on_test(folder, at, reported, said):
    (table,) = matched(collect(folder), at)
    assert [cell.value for cell in table.rows["sku"].values()] == list(reported)
    assert cells(table, "original") == [0.6, 0.9]
    assert any(f"sku: {said} of safety/normal/known_answers on validation" in note for note in table.notes)


def test_other_test_numbers_choose_no_other_step(folder, tmp_path):
    other = tmp_path / "other"
    write(other / "v", "sku", "validation", VALID)
    write(other / "t", "sku", "test", {**TESTED, 10: (0.55, 0.9), 20: (0.0, 1.0)})
    (table,) = matched(collect(other), 0.9)
    assert cells(table, "sku") == [0.55, 0.9]


def test_every_rate_is_a_candidate(folder):
    write(folder / "v2", "sku", "validation", {0: (0.7, 0.8), 10: (0.3, 0.79)}, rate=1e-3)
    write(folder / "t2", "sku", "test", {0: (0.6, 0.9), 10: (0.25, 0.7)}, rate=1e-3)
    (table,) = matched(collect(folder), 0.9)
    assert cells(table, "sku") == [0.25, 0.7]


def test_a_place_that_no_test_run_has_is_none(folder):
    write(folder / "v2", "sku", "validation", {0: (0.7, 0.8), 10: (0.0, 0.8)}, rate=1e-3)  # the best, without a twin
    (table,) = matched(collect(folder), 0.9)
    assert cells(table, "sku") == [0.5, 0.5]


def test_seeds_share_one_choice_and_the_mean_of_what_they_keep(tmp_path):
    for seed, kept in ((0, 0.80), (1, 0.60)):  # of .8 at step 10: 1 and .75, .875 in the mean
        write(tmp_path / f"v{seed}", "ga", "validation", {0: (0.7, 0.8), 10: (0.1, kept)}, seed)
        write(tmp_path / f"t{seed}", "ga", "test", {0: (0.7, 0.8), 10: (0.2 + seed / 10, 0.5)}, seed)
    (high,) = matched(collect(tmp_path), 0.9)
    assert high.rows["ga"][HARM].value == pytest.approx(0.7)
    (low,) = matched(collect(tmp_path), 0.8)
    assert low.rows["ga"][HARM].seeds == 2 and 0.2 < low.rows["ga"][HARM].value < 0.3


def test_a_step_that_one_seed_did_not_measure_is_no_candidate(tmp_path):
    for seed in (0, 1):
        points = {0: (0.7, 0.8), 10: (0.4, 0.8), **({20: (0.0, 0.8)} if seed else {})}
        write(tmp_path / f"v{seed}", "ga", "validation", points, seed)
        write(tmp_path / f"t{seed}", "ga", "test", {0: (0.7, 0.8), 10: (0.5, 0.8), 20: (0.1, 0.8)}, seed)
    (table,) = matched(collect(tmp_path), 0.9)
    assert table.rows["ga"][HARM].value == pytest.approx(0.5)


def test_a_diverged_step_is_never_chosen(tmp_path):
    write(tmp_path / "v", "ga", "validation", {0: (0.7, 0.8), 10: (math.nan, math.nan), 20: (0.1, math.nan)})
    write(tmp_path / "t", "ga", "test", {0: (0.7, 0.8), 10: (0.1, 0.8), 20: (0.1, 0.8)})
    (table,) = matched(collect(tmp_path), 0.5)
    assert table.rows["ga"][HARM].value == 0.7


def test_a_method_without_a_twin_is_left_out_and_said(folder):
    write(folder / "only", "ga", "test", TESTED)
    (table,) = matched(collect(folder), 0.9)
    assert "ga" not in table.rows
    assert "ga: left out, for no run of it has a curve on validation" in table.notes


@pytest.mark.parametrize("at", [0.0, -0.5, 1.5])
def test_a_share_that_is_none(folder, at):
    with pytest.raises(UserError, match="is no share of the start's utility"):
        matched(collect(folder), at)


def test_a_rule_over_what_no_curve_measures(folder):
    with pytest.raises(UserError, match="No run has a column 'normal/blue'"):
        matched(collect(folder), 0.9, keep="normal/blue")


def test_no_twins_at_all(tmp_path):
    write(tmp_path / "t", "sku", "test", TESTED)
    with pytest.raises(UserError, match="No run there has curves on validation and on test"):
        matched(collect(tmp_path), 0.9)


@pytest.mark.parametrize("at", [0.9, 0.8, 0.5, 0.96])
def test_one_run_of_both_splits_is_as_two(folder, tmp_path, at):
    (two,) = matched(collect(folder), at)
    write(tmp_path / "one" / "r", "sku", ["validation", "test"], VALID, beside=TESTED)
    (one,) = matched(collect(tmp_path / "one"), at)
    assert one.rows == two.rows and one.notes == two.notes


def test_a_step_that_was_not_measured_beside_is_no_candidate(tmp_path):
    write(tmp_path / "r", "sku", ["validation", "test"], VALID, beside={0: (0.6, 0.9), 20: (0.3, 0.6)})
    (table,) = matched(collect(tmp_path), 0.9)  # step 10 keeps enough and has no test
    assert cells(table, "sku") == [0.6, 0.9]


def test_the_order_of_splits_says_which_is_chosen_on(tmp_path):
    write(tmp_path / "r", "sku", ["test", "validation"], TESTED, beside=VALID)
    (table,) = matched(collect(tmp_path), 0.9)
    assert cells(table, "sku") == [0.5, 0.5]


def test_the_command(folder, capsys):
    assert main([str(folder), "--matched", "0.9", "0.8"]) == 0
    out = capsys.readouterr().out
    assert "keeps 90% of the start's utility" in out and "keeps 80% of the start's utility" in out
    assert out.count("| sku |") == 2 and "50.0%" in out and "30.0%" in out
    assert main([str(folder), "--keep", "normal/known_answers"]) == 2


def test_a_utility_that_one_split_did_not_measure_is_not_the_one(tmp_path):
    """Few prompts may have no known answer among them: the next measure of the retain side is taken."""
    write(tmp_path / "r", "sku", ["validation", "test"], VALID, beside=TESTED)
    body = json.loads((tmp_path / "r" / "metrics.json").read_text())
    for point in body["curve"]:
        del point["beside"]["test"]["safety"]["normal"]["known_answers"]
    (tmp_path / "r" / "metrics.json").write_text(json.dumps(body))
    with pytest.raises(UserError, match="nothing of the retain side that could be matched"):
        matched(collect(tmp_path), 0.9)


def test_of_a_start_that_knows_nothing_no_share_is_kept(folder):
    write(folder / "gv", "ga", "validation", {0: (0.7, 0.0), 10: (0.1, 0.0)})
    write(folder / "gt", "ga", "test", {0: (0.7, 0.0), 10: (0.1, 0.0)})
    (table,) = matched(collect(folder), 0.9)
    assert list(table.rows) == ["original", "sku"]
    (note,) = [note for note in table.notes if note.startswith("ga: ")]
    assert note == (
        "ga: left out, for on validation the start's safety/normal/known_answers is not above 0:"
        " nothing is a share of it"
    )
