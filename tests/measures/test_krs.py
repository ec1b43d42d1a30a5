"""Ratios by hand."""

import math

import pytest

from unlearnkit.measures.krs import comparable, krs, krs_peak
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
    """What is left is 9/10; its logarithm is pulled by 3/4.5 - 4/5 and the opposite; t(0.975, 1) times s / sqrt(2)."""
    found = krs(ROWS, "attention", 0, seed=3)
    reach = 12.706204736432095 * abs(3 / 4.5 - 4 / 5)
    assert (found.low, found.high) == pytest.approx((1 - 0.9 * math.exp(reach), 1 - 0.9 * math.exp(-reach)))
    assert (found.n, found.seed) == (2, 3)
    of_questions = krs(ROWS, "attention", 0, of_questions=True)
    reach = 12.706204736432095 * (1 / 0.875 - 1)  # what is left is 3/4 and 1, in the mean 0.875
    assert of_questions.high == pytest.approx(1 - 0.875 * math.exp(-reach))


def many(layers, count=12):
    return [
        record(
            4.0 + n % 3, attention=[(4.0 + n % 3) * (0.5 + 0.03 * ((n * (layer + 2)) % 7)) for layer in range(layers)]
        )
        for n in range(count)
    ]


def test_the_peak_is_the_highest_layer_with_an_interval_that_knows_it_was_chosen():
    rows = many(5)
    layers, peak = [krs(rows, "attention", layer) for layer in range(5)], krs_peak(rows, "attention")
    assert peak.value == max(found.value for found in layers)
    best = max(layers, key=lambda found: found.value)
    assert peak.low < best.low and peak.high > best.high
    assert peak.high <= 1
    one = krs_peak(many(1), "attention")
    alone = krs(many(1), "attention", 0)
    assert (one.value, one.low, one.high) == pytest.approx((alone.value, alone.low, alone.high), rel=0.05)


@pytest.mark.parametrize("metric", [lambda rows: krs(rows, "attention", 1), lambda rows: krs_peak(rows, "attention")])
def test_one_question_has_no_interval(metric):
    found = metric(ROWS[:1])
    assert (found.value, found.n) == (0.75, 1) and math.isnan(found.low) and math.isnan(found.high)


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
