"""Shares of tokens that argmax hits, by hand."""

import pytest

from unlearnkit.measures import ExactMemorisation
from unlearnkit.records.record import Record


def records(*rows):
    """A string of 1 and 0 a record, one character a token."""
    return [Record("gone", str(n), "p", answer_hits=[hit == "1" for hit in row]) for n, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "value", "published"),
    [
        (["1101"], 3 / 4, 2 / 3),  # the last token, the end, is a hit
        (["1110"], 3 / 4, 1),
        (["1101", "00"], 3 / 8, 1 / 3),  # each answer counts once, however long
        (["1"], 1, None),
        ([""], None, None),
    ],
)
def test_by_hand(rows, value, published):
    for measure, wanted in ((ExactMemorisation(), value), (ExactMemorisation(as_published=True), published)):
        found = measure(records(*rows), "forget")
        assert (found.n == 0) if wanted is None else found.value == pytest.approx(wanted)


def test_better_less_of_it_where_forgotten():
    assert [ExactMemorisation().display(r).better for r in ("forget", "retain", "general")] == [
        "lower",
        "higher",
        "higher",
    ]
