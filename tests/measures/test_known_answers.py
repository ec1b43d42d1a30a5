"""Known answers by hand."""

import pytest

from unlearnkit.measures import KnownAnswers
from unlearnkit.records.record import Record


@pytest.mark.parametrize(
    ("response", "accepted", "value"),
    [
        ("The capital of Italy is Rome.", ["Rome"], 1),
        ("ROME!", ["rome"], 1),
        ("A romantic city", ["Rome"], 0),
        ("It is 14.", ["4", "four"], 0),
        ("It is 4.", ["four", "4"], 1),
        ("About 1,000 metres", ["1,000"], 1),
        ("in New  York, of course", ["New York"], 1),
        ("Sao Paulo", ["São Paulo"], 1),
        ("twenty five", ["twenty-five"], 1),
        ("", ["Rome"], 0),
        ("法国的首都是巴黎。", ["巴黎"], 1),  # no spaces part the words
        ("法国的首都是里昂。", ["巴黎"], 0),
        ("เมืองหลวงคือปารีส", ["ปารีส"], 1),
        ("यह दान है।", ["दिन"], 0),  # another vowel, which is a mark
        ("यह दिन है।", ["दिन"], 1),
        ("かきです", ["かぎ"], 0),  # oyster and key
        ("カギです", ["ｶｷﾞ"], 1),  # half width
        ("수도는 서울 이다", ["서울"], 1),
        ("Й", ["и"], 1),
        ("", ["+"], 0),
        ("nothing of it", ["∞"], 0),
        ("a + b", ["+"], 1),
    ],
)
def test_one_response(response, accepted, value):
    record = Record("normal", "1", "p", response=response, tokens=5, alternatives={"accepted": accepted})
    assert KnownAnswers()([record], "retain").value == value


def test_questions_without_known_answers_are_left_out():
    records = [
        Record("normal", "1", "p", response="Rome", tokens=5),
        Record("normal", "2", "p", response="Rome", tokens=5, alternatives={"wrong": ["Rome"]}),
        Record("normal", "3", "p", alternatives={"accepted": ["Rome"]}),  # it was not asked
    ]
    assert KnownAnswers()(records, "retain").n == 0


def test_the_way_that_is_better():
    assert KnownAnswers().display("retain").better == "higher"
