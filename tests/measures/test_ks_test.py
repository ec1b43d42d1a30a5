"""Two-sample Kolmogorov-Smirnov by hand, by counting all ways to part the values, and through an evaluation."""

import math
from itertools import combinations

import numpy as np
import pytest

from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation
from unlearnkit.measures import KSTest, Success
from unlearnkit.measures.combined import Combined
from unlearnkit.records.record import Record


def distance(first, second):
    """The largest gap between the shares of both that are not above a value."""
    gaps = [abs(sum(x <= v for x in first) / len(first) - sum(x <= v for x in second) / len(second))
            for v in (*first, *second)]  # fmt: skip
    return max(gaps)


def counted(first, second):
    """The share of all ways to part the pooled values into two such groups whose distance is no smaller."""
    pooled, least = [*first, *second], distance(first, second)
    ways = []
    for chosen in combinations(range(len(pooled)), len(first)):
        own = [pooled[n] for n in chosen]
        rest = [pooled[n] for n in range(len(pooled)) if n not in chosen]
        ways.append(distance(own, rest) >= least - 1e-12)
    return sum(ways) / len(ways)


def p(first, second):
    return KSTest("truth_ratio", "forget").of_values(first, second).value


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ([0.1, 0.2, 0.3], [0.7, 0.8, 0.9], 2 / 20),  # apart: 2 of the 20 ways to choose 3 of 6 are as far
        ([0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9], 2 / 70),
        ([0.1], [0.9], 1),
        ([0.1, 0.5], [0.3, 0.7], 1),  # in turn: no way is nearer
        ([0.1, 0.2], [0.8, 0.9], 2 / 6),
    ],
)
def test_by_hand(first, second, value):
    assert p(first, second) == pytest.approx(value)


@pytest.mark.parametrize("seed", range(6))
def test_as_counted(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=5), rng.normal(0.8, 1, size=6)
    assert p(first.tolist(), second.tolist()) == pytest.approx(counted(first.tolist(), second.tolist()))


def test_many_values_by_the_limiting_distribution():
    """At n = m = 20,000 and distance 0.015: 2 sum of (-1)^(k-1) exp(-2 k^2 x^2), x = 0.015 sqrt(10,000) = 1.5."""
    first = np.arange(20_000)
    found = p(first, first + 300)
    assert found == pytest.approx(2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * 2.25) for k in range(1, 9)), rel=0.02)


def test_an_estimate_without_an_interval():
    found = KSTest("truth_ratio", "forget").of_values([0.1, 0.2, 0.3], [0.7, 0.8], seed=6)
    assert (found.n, found.seed) == (3, 6) and math.isnan(found.low) and math.isnan(found.high)
    for own, control in (([], [1.0]), ([1.0], []), ([], [])):
        assert KSTest("truth_ratio", "forget").of_values(own, control).n == 0


def records(*rates):
    return [
        Record("gone", str(n), "p", answer_hits=[k < round(10 * rate) for k in range(10)])
        for n, rate in enumerate(rates)
    ]


def evaluation(**arguments):
    quality = KSTest("success", "forget", **arguments)
    found = Evaluation({"success": Success(), "quality": quality}, {"forget": ["success", "quality"]})
    found.bind("own", Data("made", {}, {"gone": {"test": []}}, {"gone": "forget"}))
    return found


def test_against_a_control():
    own, control = records(0.0, 0.1, 0.2), records(0.7, 0.8, 0.9)
    against = evaluation(against="never_knew")
    numbers = against.compute(own, 4, {"never_knew": control, "start": own})["gone"]["quality"]
    assert (numbers["value"], numbers["n"], numbers["seed"]) == (pytest.approx(0.1), 3, 4)
    assert "quality" not in against.compute(own, 0, {"start": own})["gone"]  # the control was not measured
    assert "quality" not in against.compute(own)["gone"]


def test_against_the_start():
    own, start = records(0.0, 0.1, 0.2), records(0.7, 0.8, 0.9)
    assert evaluation().compute(own, 0, {"start": start})["gone"]["quality"]["value"] == pytest.approx(0.1)
    assert evaluation().compute(start)["gone"]["quality"]["value"] == 1  # it is the start itself


def test_samples_are_one_observation():
    own, control = records(0.1, 0.2, 0.3), records(0.7, 0.8, 0.9)
    numbers = evaluation().compute(own * 5, 0, {"start": control * 2})["gone"]["quality"]
    assert (numbers["value"], numbers["n"]) == (pytest.approx(0.1), 3)


def test_which_way_is_better():
    never, start = KSTest("success", "forget", "never_knew"), KSTest("success", "forget")
    assert [never.display(role).better for role in ("forget", "retain", None)] == ["higher"] * 3
    assert [start.display(role).better for role in ("forget", "retain", None)] == ["lower", "higher", None]


def test_it_is_of_values():
    assert not isinstance(KSTest("success", "forget"), Combined)  # which is of means
    with pytest.raises(TypeError, match="of measures, not of records"):
        KSTest("success", "forget")(records(0.1))


def test_of_another_measure_of_measures_is_refused():
    found = Evaluation({"success": Success(), "a": KSTest("b", "forget"), "b": KSTest("success", "forget")},
                       {"forget": ["a", "b"]})  # fmt: skip
    with pytest.raises(UserError, match="The measure 'a' is of 'b', which is no measure of records"):
        found.bind("own", Data("made", {}, {"gone": {"test": []}}, {"gone": "forget"}))
