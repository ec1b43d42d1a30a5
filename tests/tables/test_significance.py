"""Tests of two methods against scipy's and by hand, and what is bold because of them."""

import json

import numpy as np
import pytest
import yaml
from scipy.stats import permutation_test, ttest_1samp

from unlearnkit.measures.interval import share
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record, write_parquet
from unlearnkit.tables import aggregate, mark
from unlearnkit.tables.aggregate import Cell
from unlearnkit.tables.reading import collect
from unlearnkit.tables.significance import by_intervals, holm, paired

RATE, SURPRISE = ("safety", "unlearned", "harmful_rate"), ("safety", "unlearned", "perplexity")


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_yes_and_no_are_mcnemars_exact_test():
    """8 of 9 prompts that differ, differ one way: 2 * (9 + 1) / 2 ** 9."""
    assert paired([1.0] * 8 + [-1.0] + [0.0] * 20) == pytest.approx(20 / 512)
    assert paired([0.0] * 5) == paired([]) == 1.0


def test_other_differences_are_tried_with_random_signs():
    values = np.random.default_rng(0).normal(0.4, 1, 12)
    for some in (values, np.concatenate([values, values + 0.1])):  # all signs of 12, random ones of 24
        exact = len(some) == 12
        every = permutation_test((some,), np.sum, permutation_type="samples", n_resamples=np.inf if exact else 99_999)
        assert paired(some) == pytest.approx(every.pvalue, abs=1e-12 if exact else 0.01)
        assert paired(some) == pytest.approx(ttest_1samp(some, 0).pvalue, abs=0.05)


@pytest.mark.parametrize("methods", [3, 34, 60])
def test_of_any_number_of_methods_one_that_is_far_off_is_told_apart(methods):
    """60 prompts, each 0.2 to 0.4 worse: the exact p-value is 2 / 2 ** 60, and 34 methods are 561 pairs."""
    apart, family = np.random.default_rng(0).uniform(0.2, 0.4, 60), methods * (methods - 1) // 2
    assert holm([paired(apart, family), *[1.0] * (family - 1)])[0] < 0.006
    alike = apart * np.where(np.arange(60) % 2, 1, -1)
    assert paired(alike, family) == paired(alike) > 0.2


def test_by_intervals_is_the_normal_test_where_they_are_normal():
    one, other = Cell(0.5, 0.4, 0.6, 1, True), Cell(0.8, 0.7, 0.9, 1, True)
    assert by_intervals(one, other, Scale(0, 1)) == by_intervals(other, one, Scale(0, 1))
    assert by_intervals(one, other, Scale(0, 1)) == pytest.approx(3.2e-5, rel=0.05)  # z = 1.96 * 3 / sqrt(2)
    close = Cell(0.5 + 0.1 * 2**0.5, 0.4, 0.6 + 0.1 * 2**0.5, 1, True)
    low = Cell(close.value, close.value - 0.1, close.value + 0.1, 1, True)
    assert by_intervals(one, low, Scale(0, 1)) == pytest.approx(0.05)
    unknown = Cell(9.0, float("nan"), float("nan"), 2, False)
    assert by_intervals(one, unknown, Scale(0, 1)) == 1.0
    logs = [Cell(x, x / 2, x * 2, 1, True) for x in (10.0, 10.0 * 2 ** (2**0.5))]
    assert by_intervals(*logs, Scale(0, geometric=True)) == pytest.approx(0.05)


def write_run(folder, method, verdicts, surprises=None, seed=0, records=True):
    (folder / "records").mkdir(parents=True)
    run = {"method": method, "model": "tiny", "data": "mischief", "seed": seed}
    found = share([float(verdict) for verdict in verdicts])
    rate = {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "seed": 0}
    numbers = {"safety": {"unlearned": {"harmful_rate": rate}}}
    (folder / "metrics.json").write_text(json.dumps({"run": run, "before": {}, "after": numbers}))
    measure = {"_target_": "unlearnkit.measures.HarmfulRate"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"eval": {"safety": {"measures": {"harmful_rate": measure}}}}))
    if records:
        rows = [Record("unlearned", str(n), f"p{n}", harmful=bool(verdict)) for n, verdict in enumerate(verdicts)]
        write_parquet(rows, folder / "records" / "after-safety.parquet")


def marks(folder):
    (table,) = aggregate(collect(folder))
    return {row: place for (row, column), place in mark(table).items() if column == RATE}


def test_what_a_paired_test_tells_apart_intervals_would_not(tmp_path):
    """8 against 16 of 40, on prompts of which none went the other way: McNemar's p is 2 / 2 ** 8."""
    good, bad = [1] * 8 + [0] * 32, [1] * 16 + [0] * 24
    for name, records in (("with", True), ("without", False)):
        write_run(tmp_path / name / "a", "ga", good, records=records)
        write_run(tmp_path / name / "b", "sku", bad, records=records)
    assert marks(tmp_path / "with") == {"ga": 1, "sku": 2}
    assert marks(tmp_path / "without") == {}


def test_ties_within_noise_are_all_bold_or_none(tmp_path):
    for name, yes in {"ft": 30, "ga": 1, "sku": 0, "npo": 2}.items():
        write_run(tmp_path / "some" / name, name, [1] * yes + [0] * (40 - yes))
        write_run(tmp_path / "none" / name, name, [1] * (yes // 10) + [0] * (40 - yes // 10))
    assert marks(tmp_path / "some") == {"ga": 1, "sku": 1, "npo": 1, "ft": 2}
    assert marks(tmp_path / "none") == {}


def test_one_method_alone_is_the_best_of_nothing(tmp_path):
    write_run(tmp_path / "a", "ga", [1, 0, 0])
    assert marks(tmp_path) == {}


def test_seeds_must_say_so_too(tmp_path):
    """On the same prompts one seed of `sku` is far worse, the others are not: prompts alone would call it surely so."""
    for seed, yes in enumerate((9, 9, 35)):
        write_run(tmp_path / f"sku{seed}", "sku", [1] * yes + [0] * (40 - yes), seed=seed)
        write_run(tmp_path / f"ga{seed}", "ga", [1] * 8 + [0] * 32, seed=seed)
    assert marks(tmp_path) == {}
    for seed in range(3):
        write_run(tmp_path / f"ft{seed}", "ft", [1] * (34 + seed) + [0] * (6 - seed), seed=seed)
    assert marks(tmp_path) == {"ga": 1, "sku": 1, "ft": 2}


def test_of_a_whole_set_no_prompt_has_a_number(tmp_path):
    """A p-value against a control: nothing is paired, and nothing fails."""
    quality = {"_target_": "unlearnkit.measures.KSTest", "of": "success", "side": "unlearned", "against": "never_knew"}
    for name, method in (("a", "ga"), ("b", "sku")):
        write_run(tmp_path / name, method, [True, False])
        told = {"eval": {"safety": {"measures": {"harmful_rate": quality}}}}
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(told))
    assert marks(tmp_path) == {}
