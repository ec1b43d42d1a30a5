"""ConceptVectors' BLEU by hand: n-gram precisions, geometric smoothing of zeros."""

import math
from collections import Counter

import pytest

from unlearnkit.measures import BleuAsPublished
from unlearnkit.records.record import Record


def by_hand(reference, candidate):
    """Chen and Cherry 2014, smoothing 3: the k-th precision that is zero has 1 / 2**k for its count."""
    reference, candidate = reference.split(), candidate.split()
    logs, zeros = [], 0
    for size in range(1, 5):
        own, other = (
            Counter(tuple(words[n : n + size]) for n in range(len(words) - size + 1))
            for words in (candidate, reference)
        )
        hits, whole = sum((own & other).values()), max(sum(own.values()), 1)
        if not hits and size == 1:
            return 0.0
        if not hits:
            zeros += 1
            hits = 1 / 2**zeros
        logs.append(math.log(hits / whole))
    short = min(0.0, 1 - len(reference) / len(candidate))
    return 100 * math.exp(short + sum(logs) / 4)


@pytest.mark.parametrize(
    ("response", "original", "value"),
    [
        ("the river ends in the sea", "the river ends in the sea", 100),
        ("the river ends in the hills", "the river ends in the sea", None),
        ("a river", "the river ends in the sea", None),
        ("the cat sat", "the cat sat", 100 * 0.5**0.25),  # no four words in a row: 1/2 over 1
        ("no", "yes", 0),
        ("", "yes", 0),
        ("yes", "", 0),
    ],
)
def test_one_answer(response, original, value):
    record = Record("target", "1", "p", response=response, original=original, tokens=9)
    expected = by_hand(response, original) if value is None else value
    assert BleuAsPublished()([record]).value == pytest.approx(expected)


def test_what_was_not_answered_is_left_out():
    assert BleuAsPublished()([Record("target", "1", "p", original="a")]).n == 0
