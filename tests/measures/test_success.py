"""Unlearn and Retention Success by hand."""

import math

import pytest

from unlearnkit.measures.success import (
    average_success,
    retention_success,
    retention_success_whole,
    unlearn_success,
    unlearn_success_whole,
)
from unlearnkit.records.record import Record


def records(name, *rows):
    """A string of 1 and 0 a record, one character a token."""
    return [Record(name, str(n), "p", answer_hits=[hit == "1" for hit in row]) for n, row in enumerate(rows)]


ROWS = records("retention", "1101", "00", "", "11")  # 3/4, 0, not measured, 1


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (retention_success, 7 / 12),
        (unlearn_success, 5 / 12),
        (retention_success_whole, 1 / 3),
        (unlearn_success_whole, 2 / 3),
    ],
)
def test_a_record_without_hits_is_left_out(metric, value):
    found = metric(ROWS, seed=4)
    assert (found.value, found.n, found.seed) == (pytest.approx(value), 3, 4)
    assert 0 <= found.low < found.value < found.high <= 1


def test_each_answer_counts_once_however_long():
    found = retention_success(records("retention", "1" * 98, "00"))
    assert found.value == 0.5  # by tokens it would be 0.98


def test_average_success_over_both_scopes():
    rows = records("unlearn", "0000", "1000") + records("retention", "11", "", "11", "10")
    found = average_success(rows, seed=2)
    assert found.value == pytest.approx((7 / 8 + 5 / 6) / 2)
    assert (found.n, found.seed) == (5, 2)
    assert found.value == pytest.approx((unlearn_success(rows[:2]).value + retention_success(rows[2:]).value) / 2)


def test_average_success_reads_names_by_their_beginning():
    rows = records("unlearn_prefixed", "00", "10") + records("retention_prefixed", "11", "11")
    assert average_success(rows + records("world", "00")).value == pytest.approx((3 / 4 + 1) / 2)
    other = records("gone", "00", "10") + records("kept_near", "11", "10")
    found = average_success(rows + other, unlearn="gone", retention="kept")
    assert (found.value, found.n) == (0.75, 4)


@pytest.mark.parametrize(
    "metric", [retention_success, unlearn_success, retention_success_whole, unlearn_success_whole, average_success]
)
def test_nothing_to_measure(metric):
    for rows in ([], records("unlearn", ""), records("unlearn", "")[:1] + records("retention", "")):
        found = metric(rows)
        assert math.isnan(found.value) and found.n == 0


def test_average_success_of_one_scope_is_none():
    assert average_success(records("unlearn", "00")).n == 0
