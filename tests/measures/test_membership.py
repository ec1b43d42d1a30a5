"""Scores of membership, by hand."""

import math
import zlib

import pytest

from unlearnkit.measures import MembershipLoss, MembershipZlib, MinK, MinKPlusPlus
from unlearnkit.records.record import Record

ROW = Record(
    "gone",
    "1",
    "p",
    answer="to be or not to be",
    answer_log_probs=[-1.0, -5.0, -2.0, -4.0, -3.0],
    answer_deviations=[1.0, -2.0, 0.5, -1.0, 0.0],
)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        (MembershipLoss(), 3),
        (MembershipZlib(), 3 / len(zlib.compress(b"to be or not to be"))),
        (MinK(), 4.5),  # two of five tokens: -5 and -4
        (MinK(0.2), 5),
        (MinK(0.1), 5),  # one at least
        (MinK(1.0), 3),
        (MinK(as_published=True), 5),  # one of the first four
        (MinKPlusPlus(), 1.5),
        (MinKPlusPlus(as_published=True), 2),
    ],
)
def test_by_hand(measure, value):
    assert measure.values([ROW], "forget") == [pytest.approx(value)]


def test_the_text_is_counted_in_bytes():
    row = Record("gone", "1", "p", answer="é" * 9, answer_log_probs=[-1.0])
    assert MembershipZlib().values([row], None) == [pytest.approx(1 / len(zlib.compress("é".encode() * 9)))]


@pytest.mark.parametrize("measure", [MembershipLoss(), MembershipZlib(), MinK(), MinKPlusPlus()])
def test_what_was_not_scored_says_nothing(measure):
    assert measure([Record("gone", "1", "p")], "forget").n == 0


def test_an_impossible_token_is_a_number():
    row = Record("gone", "1", "p", answer="a", answer_log_probs=[-math.inf])
    assert MembershipLoss().values([row], None) == [1e9] and MinK().values([row], None) == [1e9]
