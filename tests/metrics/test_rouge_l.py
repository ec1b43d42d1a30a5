"""ROUGE-L by hand."""

import math

import pytest

from unlearnkit.metrics.rouge_l import rouge_l
from unlearnkit.records.record import Record


def record(answer, response, tokens=9):
    return Record("unlearn", "1", "p", response=response, tokens=tokens, answer=answer)


@pytest.mark.parametrize(
    ("answer", "response", "value"),
    [
        ("the cat sat on the mat", "the cat on the mat", 10 / 11),  # 5 of 5 words and 5 of 6
        ("a b c d", "d c b a", 1 / 4),  # one word in order
        ("a b c d", "a x b y z w c", 6 / 11),  # gaps are allowed: 3 of 7 and 3 of 4
        ("Running, jumping!", "runs jumped", 1),  # stems, without case and punctuation
        ("yes", "no", 0),
        ("yes", "", 0),  # it ended at once: an answer all the same
    ],
)
def test_one_response(answer, response, value):
    assert rouge_l([record(answer, response)]).value == pytest.approx(value)


def test_records_without_a_response_are_left_out():
    found = rouge_l([record("a b", "a b"), record("a b", "c"), record("a b", "", tokens=0)], seed=4)
    assert (found.value, found.low, found.high, found.n, found.seed) == (0.5, 0, 1, 2, 4)


def test_nothing_to_measure():
    for rows in ([], [record("a", "", tokens=0)]):
        found = rouge_l(rows)
        assert math.isnan(found.value) and found.n == 0
