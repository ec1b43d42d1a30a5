"""The area under the curve by counting pairs, its interval by simulation, and what a control makes of it."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from unlearnkit.data.examples import Data
from unlearnkit.evaluations import Evaluation
from unlearnkit.measures import AUC, MembershipLoss, PrivLeak
from unlearnkit.measures.auc import auc
from unlearnkit.records.record import Record


def pairs(members, others):
    return np.mean([(o > m) + (o == m) / 2 for m in members for o in others])


@pytest.mark.parametrize(
    ("members", "others", "value"),
    [([1, 2], [3, 4], 1), ([3, 4], [1, 2], 0), ([1, 3], [2, 4], 3 / 4), ([1, 1], [1, 1], 1 / 2), ([1, 2], [2], 3 / 4)],
)
def test_by_hand(members, others, value):
    found = auc(members, others, seed=5)
    assert (found.value, found.n, found.seed) == (pytest.approx(value), len(members) + len(others), 5)
    assert 0 <= found.low <= found.value <= found.high <= 1 and found.high - found.low > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_as_counted(seed):
    rng = np.random.default_rng(seed)
    members, others = rng.integers(0, 9, 30), rng.integers(2, 12, 20)
    assert auc(members, others).value == pytest.approx(pairs(members, others))


@pytest.mark.parametrize(("m", "n"), [(20, 20), (10, 100), (200, 200)])
@pytest.mark.parametrize("truth", [0.5, 0.9, 0.98])
def test_the_interval_covers(m, n, truth):
    rng = np.random.default_rng(0)
    apart = norm.ppf(truth) * math.sqrt(2)
    found = [auc(rng.normal(0, 1, m), rng.normal(apart, 1, n)) for _ in range(200)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize(("members", "others"), [([], [1.0]), ([1.0], []), ([], [])])
def test_of_nothing(members, others):
    assert auc(members, others).n == 0


def records(members, others):
    sides = {"gone": members, "like": others}
    return [
        Record(name, str(n), "p", answer_log_probs=[-score])
        for name, scores in sides.items()
        for n, score in enumerate(scores)
    ]


def evaluation(measure):
    found = Evaluation({"loss": MembershipLoss(), "found": measure}, {"forget": ["found"]})
    sets, roles = {"gone": {"test": []}, "like": {"test": []}}, {"gone": "forget", "like": "holdout"}
    found.bind("own", Data("made", {}, sets, roles))
    return found


def test_of_the_sides_of_an_evaluation():
    numbers = evaluation(AUC("loss")).compute(records([1, 3], [2, 4]))["gone"]["found"]
    assert (numbers["value"], numbers["n"]) == (0.75, 4)
    assert AUC("loss").display("forget").better is None


def test_privleak_against_a_control():
    leak = evaluation(PrivLeak("loss"))
    own, control = records([1, 3], [2, 4]), records([1, 4], [2, 3])  # 3/4 and 1/2
    numbers = leak.compute(own, 0, {"never_knew": control})["gone"]["found"]
    assert numbers["value"] == pytest.approx(-50) and numbers["low"] < -50 < numbers["high"]
    same = leak.compute(control, 0, {"never_knew": control})["gone"]["found"]
    assert same["value"] == pytest.approx(0)
    assert leak.compute(own) == {}  # no control was measured
    every = leak.compute(records([1, 2], [3, 4]), 0, {"never_knew": control})["gone"]["found"]
    assert every["value"] == -100
    assert leak.compute(own, 0, {"never_knew": records([1, 2], [3, 4])}) == {}  # of a control that finds every member
