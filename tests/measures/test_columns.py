"""Nested numbers as metrics.json has them -> columns, with how each is shown."""

import copy
import json
import math

import pytest

from unlearnkit.measures import AnswerPerplexity, Success
from unlearnkit.measures.columns import Column, flatten
from unlearnkit.measures.display import Display, usual, written
from unlearnkit.measures.interval import Estimate

NUMBER = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 30, "seed": 2}
NUMBERS = {
    "scopes": {
        "unlearn": {"success": NUMBER, "answer_perplexity": {**NUMBER, "value": 9.0, "low": None, "high": None}},
        "both": {"average_success": {"value": 1, "low": 0, "high": 1}},
    },
    "general": {"arc": {"acc": {**NUMBER, "stderr": 0.1, "lm_eval": "0.4"}}},
}


def same(found, expected):
    """Equal, NaN too."""
    return repr(found) == repr(expected)


def test_by_hand():
    found = flatten(NUMBERS)
    assert list(found) == [
        ("scopes", "unlearn", "success"),
        ("scopes", "unlearn", "answer_perplexity"),
        ("scopes", "both", "average_success"),
        ("general", "arc", "acc"),
    ]
    assert found["scopes", "unlearn", "success"] == Estimate(0.5, 0.4, 0.6, 30, 2)
    assert same(found["scopes", "unlearn", "answer_perplexity"], Estimate(9.0, math.nan, math.nan, 30, 2))
    assert same(found["scopes", "both", "average_success"], Estimate(1.0, 0.0, 1.0, 0, 0))
    assert found["general", "arc", "acc"] == Estimate(0.5, 0.4, 0.6, 30, 2)


@pytest.mark.parametrize("numbers", [None, {}, {"scopes": {}}, {"scopes": {"unlearn": {}}}])
def test_nothing(numbers):
    assert flatten(numbers) == {}


def test_a_null_number_is_nan():
    found = flatten({"a": {"b": {"c": {"value": None, "low": None, "high": None, "n": 3}}}})
    assert same(found["a", "b", "c"], Estimate(math.nan, math.nan, math.nan, 3, 0))


def test_names_of_a_number_s_own_parts_are_names_too():
    found = flatten({"low": {"n": {"value": NUMBER}}, "value": {"value": {"seed": NUMBER}}})
    assert list(found) == [("low", "n", "value"), ("value", "value", "seed")]


def test_behind_the_name_of_an_attack():
    shown = {"scopes/unlearn/success": written(Success().display("forget"))}
    found = flatten(NUMBERS, shown, ("prefix",))
    (first, *_) = found
    assert first == ("prefix", "scopes", "unlearn", "success") and first.display == Success().display("forget")
    assert all(column[0] == "prefix" for column in found)


def test_each_is_shown_as_was_told_and_else_as_usual():
    told = {
        "scopes/unlearn/success": Success().display("forget"),
        "scopes/unlearn/answer_perplexity": AnswerPerplexity().display("forget"),
        "scopes/absent/success": Success().display("retain"),
    }
    shown = json.loads(json.dumps({path: written(display) for path, display in told.items()}))
    success, surprise, average, accuracy = flatten(NUMBERS, shown)
    assert success.display == Success().display("forget") and success.display.role == "forget"
    assert surprise.display.better == "higher" and AnswerPerplexity().display("retain").better == "lower"
    assert average.display == usual("average_success") and accuracy.display == usual("acc")


def test_a_column_is_its_path_whatever_is_shown():
    column = Column(("a", "b", "c"), Display("lower", role="forget"))
    other = Column(["a", "b", "c"])
    assert column == other == ("a", "b", "c") and hash(column) == hash(other) and {column: 1}["a", "b", "c"] == 1
    assert other.display == usual("c") and Column(("x", "harm_rate")).display.rate
    assert Column(()).display == usual("")
    assert copy.deepcopy(column).display == column.display
