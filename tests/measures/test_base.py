"""What every measure has: a direction on each side, and the interval that its scale asks for."""

import math

import pytest

from unlearnkit import measures
from unlearnkit.measures.base import Measure
from unlearnkit.measures.interval import bounded_mean, exp_mean, plain_mean, share
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record


class Tokens(Measure):
    """A record's tokens; none says nothing."""

    reads = ("tokens",)
    better = {"retain": "higher"}

    def __init__(self, scale=None, yes_no=False):
        self.scale, self.yes_no = scale or Scale(), yes_no

    def value(self, record, role):
        return record.tokens * (-1.0 if role == "forget" else 1.0) or None


def records(*tokens):
    return [Record("a", str(n), "p", tokens=t) for n, t in enumerate(tokens)]


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Tokens(), plain_mean([1.0, 3.0, 2.0], 6)),
        (Tokens(Scale(0.0)), plain_mean([1.0, 3.0, 2.0], 6)),
        (Tokens(Scale(0.0, 4.0)), bounded_mean([1.0, 3.0, 2.0], 6, (0.0, 4.0))),
        (Tokens(Scale(0.0, geometric=True)), exp_mean([1.0, 3.0, 2.0], 6)),
    ],
)
def test_the_scale_chooses_the_interval(measure, expected):
    assert measure(records(1, 0, 3, 2), "retain", 6) == expected


def test_yes_and_no_have_wilsons_interval():
    assert Tokens(Scale(0.0, 1.0), yes_no=True)(records(1, 1, 0), None, 2) == share([1.0, 1.0], 2)


def test_a_side_decides_the_value_and_samples_are_averaged():
    rows = [Record("a", "1", "p", tokens=t, sample=n) for n, t in enumerate((1, 2))] + [Record("a", "2", "p", tokens=4)]
    assert Tokens().values(rows, "forget") == [-1.5, -4.0] and Tokens().values(rows, "retain") == [1.5, 4.0]
    assert Tokens()(rows).value == 2.75 and Tokens()(rows).n == 2


def test_the_same_example_in_two_sets_or_behind_another_prompt_is_another_observation():
    rows = [Record("a", "1", "p", tokens=1), Record("b", "1", "p", tokens=2), Record("a", "1", "Hi. p", tokens=3)]
    assert Tokens().values(rows, None) == [1.0, 2.0, 3.0]


def test_of_nothing():
    for scale in (Scale(), Scale(0.0, 1.0), Scale(0.0, geometric=True)):
        found = Tokens(scale)(records(0, 0), "retain")
        assert math.isnan(found.value) and found.n == 0


def test_of_a_side_that_is_not_there_no_direction_is_known():
    assert [Tokens().display(role).better for role in ("retain", "forget", None)] == ["higher", None, None]
    assert Tokens().display("forget").role == "forget"


@pytest.mark.parametrize(
    ("measure", "forget", "others"),
    [
        (measures.HarmfulRate(), "lower", "lower"),
        (measures.Perplexity(), "lower", "lower"),
        (measures.AnswerPerplexity(), "higher", "lower"),
        (measures.Similarity(), "lower", "higher"),
        (measures.Bleu(), "lower", "higher"),
        (measures.RougeL(), "lower", "higher"),
        (measures.Success(), "higher", "higher"),
        (measures.SuccessWhole(), "higher", "higher"),
    ],
)
def test_directions(measure, forget, others):
    assert measure.display("forget").better == forget
    assert {measure.display(role).better for role in ("retain", "general", "holdout")} == {others}
