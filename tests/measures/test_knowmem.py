"""MUSE's knowmem by hand."""

import pytest

from unlearnkit.measures.knowmem import KnowMem, answered
from unlearnkit.records.record import Record


@pytest.mark.parametrize(
    ("response", "left"),
    [
        ("The Leth\n\nQuestion: Who?", "The Leth"),
        ("The Leth\nQuestion: Who?", "The Leth"),
        ("The Leth Question: Who?", "The Leth "),
        ("The Leth\nand more", "The Leth\nand more"),
        ("Question: Who?", ""),
        ("a\nQuestion: b\n\nc", "a"),
    ],
)
def test_a_response_ends_where_the_next_question_begins(response, left):
    assert answered(response) == left


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("the red bridge", 1.0),
        ("the red bridge\n\nQuestion: What is the red bridge?", 1.0),
        ("the bridge", 0.8),  # recall 2 / 3, precision 1
        ("a blue ferry", 0.0),
        ("\n\nthe red bridge", 0.0),
    ],
)
def test_it_is_f1_of_what_is_left(response, value):
    assert KnowMem().value(Record("s", "1", "q", response, 5, answer="the red bridge"), None) == pytest.approx(value)


def test_of_what_was_not_answered_nothing_is_said():
    assert KnowMem().value(Record("s", "1", "q", answer="a"), None) is None
    measure = KnowMem()
    assert [measure.display(role).better for role in ("forget", "retain", None)] == ["lower", "higher", None]
