"""What a guard lets through, and on the forget side stops, by hand."""

import math

import pytest

from unlearnkit.measures import Guarded
from unlearnkit.records.record import Record


def records(*let_through):
    return [Record("asked", str(n), "p", let_through=through) for n, through in enumerate(let_through)]


ROWS = records(True, False, None, True, True)


@pytest.mark.parametrize(("role", "value"), [("retain", 3 / 4), ("forget", 1 / 4), ("general", 3 / 4), (None, 3 / 4)])
def test_by_side(role, value):
    found = Guarded()(ROWS, role, seed=4)
    assert (found.value, found.n, found.seed) == (value, 4, 4)
    assert 0 <= found.low < value < found.high <= 1


@pytest.mark.parametrize(("through", "role", "value"), [(False, "forget", 1), (True, "forget", 0), (True, "retain", 1)])
def test_all_alike(through, role, value):
    found = Guarded()(records(*[through] * 30), role)
    assert found.value == value and 0.1 < found.high - found.low < 0.13


def test_samples_of_one_prompt_are_one_observation():
    rows = records(True, False) + records(True, False)
    assert (Guarded()(rows, "retain").value, Guarded()(rows, "retain").n) == (0.5, 2)


def test_nothing_was_guarded():
    for rows in ([], records(None, None)):
        assert math.isnan(Guarded()(rows, "forget").value) and Guarded()(rows, "forget").n == 0


def test_higher_is_better_on_every_side():
    assert {Guarded().display(role).better for role in ("forget", "retain", "general", "holdout")} == {"higher"}
    assert Guarded().reads == ("let_through",)
