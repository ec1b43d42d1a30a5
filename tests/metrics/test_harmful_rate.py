"""The harmful rate by hand."""

import math

import pytest

from unlearnkit.metrics.harmful_rate import harmful_rate
from unlearnkit.records.record import Record


def records(*verdicts):
    return [Record("unlearned", str(n), "p", harmful=verdict) for n, verdict in enumerate(verdicts)]


def test_share_of_judged_responses():
    found = harmful_rate(records(True, False, None, False, False), seed=3)
    assert (found.value, found.n, found.seed) == (0.25, 4, 3)
    assert 0 <= found.low <= 0.25 <= found.high <= 1


@pytest.mark.parametrize(("verdict", "rate"), [(True, 1.0), (False, 0.0)])
def test_all_alike(verdict, rate):
    found = harmful_rate(records(verdict, verdict))
    assert (found.value, found.low, found.high) == (rate, rate, rate)


def test_nothing_judged():
    found = harmful_rate(records(None))
    assert math.isnan(found.value) and found.n == 0
