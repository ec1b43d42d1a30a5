"""How much of an answer must be given, by hand and by trying every length."""

import itertools

import pytest

from unlearnkit.measures import ExtractionStrength
from unlearnkit.records.record import Record


def record(row):
    return Record("gone", row, "p", answer_hits=[hit == "1" for hit in row])


@pytest.mark.parametrize(
    ("row", "value", "published"),
    [
        ("1111", 1, 1),
        ("0111", 3 / 4, 2 / 3),
        ("1011", 2 / 4, 1 / 3),
        ("1110", 0, 1),  # the end is missed, which the code does not look at
        ("0000", 0, 1 / 3),  # the code's least is one token
        ("1", 1, None),
        ("0", 0, None),
        ("", None, None),
    ],
)
def test_by_hand(row, value, published):
    for measure, wanted in ((ExtractionStrength(), value), (ExtractionStrength(as_published=True), published)):
        found = measure([record(row)], "forget")
        assert (found.n == 0) if wanted is None else found.value == pytest.approx(wanted)


@pytest.mark.parametrize("length", range(1, 7))
def test_as_tried(length):
    for hits in itertools.product((True, False), repeat=length):
        given = next(k for k in range(length + 1) if all(hits[k:]))
        found = ExtractionStrength()([Record("gone", "1", "p", answer_hits=list(hits))], "forget")
        assert found.value == pytest.approx(1 - given / length)
