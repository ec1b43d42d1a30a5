"""The harmful rate by hand."""

import math

import pytest

from unlearnkit.measures.harmful_rate import HarmfulRate
from unlearnkit.records.record import Record


def records(*verdicts):
    return [Record("unlearned", str(n), "p", harmful=verdict) for n, verdict in enumerate(verdicts)]


def test_share_of_judged_responses():
    found = HarmfulRate()(records(True, False, None, False, False), seed=3)
    assert (found.value, found.n, found.seed) == (0.25, 4, 3)
    assert 0 <= found.low <= 0.25 <= found.high <= 1


@pytest.mark.parametrize(("verdict", "low", "high"), [(True, 0.8865, 1.0), (False, 0.0, 0.1135)])
def test_all_alike(verdict, low, high):
    found = HarmfulRate()(records(*[verdict] * 30))
    assert (found.value, found.low, found.high) == (
        float(verdict),
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


def test_samples_of_one_prompt_are_one_observation():
    rows = [Record("unlearned", str(n // 3), "p", harmful=n < 4) for n in range(6)]  # 3 of 3 and 1 of 3
    found = HarmfulRate()(rows)
    assert (found.value, found.n) == (pytest.approx(2 / 3), 2)


def test_nothing_judged():
    found = HarmfulRate()(records(None))
    assert math.isnan(found.value) and found.n == 0
