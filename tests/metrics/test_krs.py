"""Ratios by hand."""

import math

import pytest

from unlearnkit.metrics.krs import comparable, krs, krs_peak
from unlearnkit.records.record import Record, read_parquet, write_parquet


def record(unlearned, **patched):
    return Record("target", "q", "?", unlearned_error=unlearned, patched_errors=patched or None)


ROWS = [record(4.0, attention=[3.0, 1.0]), record(6.0, attention=[6.0, 4.0])]


def test_the_ratio_is_of_summed_errors_or_meaned_over_questions():
    assert krs(ROWS, "attention", 0).value == pytest.approx(0.1)  # 1 - 9/10
    assert krs(ROWS, "attention", 1).value == pytest.approx(0.5)  # 1 - 5/10
    assert krs(ROWS, "attention", 0, of_questions=True).value == pytest.approx(0.125)  # (1/4 + 0) / 2
    assert krs(ROWS, "attention", 1, of_questions=True).value == pytest.approx((3 / 4 + 1 / 3) / 2)


def test_the_interval_is_over_questions():
    found = krs(ROWS, "attention", 0, seed=3)
    assert (found.low, found.high, found.n, found.seed) == (0.0, 0.25, 2, 3)  # the second alone, the first alone
    peak = krs_peak(ROWS, "attention")
    assert peak.value == pytest.approx(0.5) and (peak.low, peak.high) == (pytest.approx(1 / 3), 0.75)


def test_the_peak_is_the_highest_layer_in_each_resample():
    rows = [record(1.0, attention=[0.0, 1.0]), record(1.0, attention=[1.0, 0.2])]
    peak = krs_peak(rows, "attention")
    assert peak.value == pytest.approx(0.5)
    assert (peak.low, peak.high) == (0.5, 1.0)


def test_one_question_has_no_interval():
    found = krs(ROWS[:1], "attention", 1)
    assert (found.value, found.low, found.high, found.n) == (0.75, 0.75, 0.75, 1)


def test_what_cannot_be_compared_is_left_out():
    others = [
        record(None),
        record(0.0, attention=[0.0, 0.0]),
        record(math.nan, attention=[1.0, 1.0]),
        record(1.0, attention=[math.inf, 1.0]),
    ]
    assert [comparable(row) for row in others + ROWS] == [False] * 4 + [True] * 2
    assert krs(others + ROWS, "attention", 0) == krs(ROWS, "attention", 0)
    empty = krs(others, "attention", 0)
    assert math.isnan(empty.value) and empty.n == 0
    assert krs_peak([], "attention").n == 0


def test_errors_survive_parquet(tmp_path):
    rows = [*ROWS, record(None)]
    write_parquet(rows, tmp_path / "records.parquet")
    assert read_parquet(tmp_path / "records.parquet") == rows
    write_parquet(rows[2:], tmp_path / "records.parquet")
    assert read_parquet(tmp_path / "records.parquet") == rows[2:]
