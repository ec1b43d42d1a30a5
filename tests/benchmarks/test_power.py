"""Power by hand, and by tables that are in print."""

import math
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import power

LEVEL = 0.05


@pytest.mark.parametrize(
    ("one", "other", "alike", "shares"),
    [
        (0.1, 0.3, 0.0, (0.07, 0.27)),  # independent: .1 * .7 and .9 * .3
        (0.5, 0.5, 1.0, (0.0, 0.0)),
        (0.1, 0.3, 1.0, (0.0, 0.2)),  # as alike as such shares can be
    ],
)
def test_prompts_on_which_two_runs_differ(one, other, alike, shares):
    assert power.discordant(one, other, alike) == pytest.approx(shares)


def test_two_prompts_a_side():
    # Only 0 of 2 against 2 of 2 has z = 2 > 1.96: .81 * .81 and .01 * .01.
    assert power.unpaired(0.1, 0.9, 2, LEVEL) == pytest.approx(0.6562)


def test_six_prompts_that_all_differ():
    # p = 2 / 64 < .05 where all six go one way; with five it is 2 / 32 > .05.
    assert power.paired(0.0, 1.0, 6, LEVEL, 0.0) == pytest.approx(1.0)
    assert power.paired(0.0, 1.0, 5, LEVEL, 0.0) == 0.0
    assert power.paired(0.5, 0.5, 6, LEVEL, 0.0) < 0.05  # no difference: the test's own level


@pytest.mark.parametrize(("size", "count", "printed"), [(0.5, 64, 0.801), (0.8, 26, 0.807), (0.2, 393, 0.800)])
def test_cohen_s_tables(size, count, printed):
    assert power.seeds_power(size, 1.0, 0.0, 1, 0.0, count, LEVEL) == pytest.approx(printed, abs=1e-3)


@pytest.mark.parametrize(("rates", "counts"), [((0.03, 0.35), (20, 24)), ((0.05, 0.10), (424, 244))])
def test_what_docs_say_of_prompts(rates, counts):
    apart = power.smallest(lambda n: power.unpaired(*rates, n, LEVEL), 0.8, 1024)
    same = power.smallest(lambda n: power.paired(*rates, n, LEVEL, 0.5), 0.8, 1024)
    assert (apart, same) == counts


@pytest.mark.parametrize(("between", "seeds"), [(0.01, 3), (0.026, 8), (0.05, 26)])
def test_what_docs_say_of_seeds(between, seeds):
    assert power.seeds_needed(0.04, between, 0.25, math.inf, 0.5, LEVEL, 0.8) == seeds


def test_prompts_bound_what_seeds_can_do():
    assert power.seeds_needed(0.04, 0.026, 0.25, 120, 0.5, LEVEL, 0.8) is None
    assert power.seeds_power(0.04, 0.026, 0.25, 120, 0.5, 10_000, LEVEL) < 0.8
