"""Whether a 95 % interval holds the truth as often as it says, by simulation; of Wilson's exactly, by summing.

The suite has few trials and leaves three standard errors of room; `-m long` has many.
"""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from unlearnkit.general.scores import interval
from unlearnkit.measures.combined import HarmonicMean, Mean
from unlearnkit.measures.interval import bounded_mean, combined, exp_mean, share
from unlearnkit.measures.krs import krs, krs_peak
from unlearnkit.measures.seeds import Scale, over_seeds
from unlearnkit.records.record import Record

PLACES = [(p, n) for n in (30, 100) for p in (0.02, 0.1, 0.5)]
TRIALS = [pytest.param(120, id="few"), pytest.param(1500, id="many", marks=pytest.mark.long)]
places = pytest.mark.parametrize(("p", "n"), PLACES)
trials = pytest.mark.parametrize("trials", TRIALS)
MEANS = {  # (mean, draw), in 0 to 1: almost all zeros, zeros and parts, one heap, one narrow heap
    "zeros and ones": lambda p: (p, lambda rng, n: (rng.random(n) < p) * 1.0),
    "zeros and parts": lambda p: (p / 2, lambda rng, n: (rng.random(n) < p) * rng.random(n)),
    "a wide heap": lambda p: (p, lambda rng, n: rng.beta(2 * p, 2 * (1 - p), n)),
    "a narrow heap": lambda p: (p, lambda rng, n: rng.beta(20 * p, 20 * (1 - p), n)),
}


def covered(draw, truth, trials, least):
    """Draw estimates; returns coverage and mean width, after a check that leaves three standard errors of room."""
    rng = np.random.default_rng(0)
    bounds = np.array([draw(rng) for _ in range(trials)])
    share_held = float(((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean())
    width = float((bounds[:, 1] - bounds[:, 0]).mean())
    error = math.sqrt(least * (1 - least) / trials)
    print(f"covers {share_held:.3f} (s.e. {math.sqrt(share_held * (1 - share_held) / trials):.3f}), width {width:.3f}")
    assert share_held >= least - 3 * error
    return share_held, width


def ends(estimate):
    return estimate.low, estimate.high


@places
def test_wilson_exactly(p, n):
    held = [ends(share([1.0] * yes + [0.0] * (n - yes))) for yes in range(n + 1)]
    covers = sum(binom.pmf(yes, n, p) for yes, (low, high) in enumerate(held) if low <= p <= high)
    width = sum(binom.pmf(yes, n, p) * (high - low) for yes, (low, high) in enumerate(held))
    print(f"Wilson {p} {n}: covers {covers:.4f}, width {width:.3f}")
    assert 0.92 <= covers <= 0.98


@trials
@places
@pytest.mark.parametrize("kind", MEANS)
def test_bounded_means(kind, p, n, trials):
    truth, draw = MEANS[kind](p)
    covered(lambda rng: ends(bounded_mean(draw(rng, n), int(rng.integers(1 << 30)))), truth, trials, 0.92)


COMBINED = {
    "a mean": (Mean, lambda first, second: (first + second) / 2),
    "a harmonic mean": (HarmonicMean, lambda first, second: 2 / (1 / first + 1 / second)),
}


@trials
@places
@pytest.mark.parametrize("kind", COMBINED)
def test_two_means_put_together(kind, p, n, trials):
    put, plain = COMBINED[kind]
    together = put({"forget": "success", "retain": "success"}).together
    covered(
        lambda rng: ends(
            combined([(rng.random(n) < p) * 1.0, rng.beta(5, 5, n)], together, int(rng.integers(1 << 30)))
        ),
        plain(p, 0.5),
        trials,
        0.92,
    )


@trials
@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize("shape", [1, 4])  # surprises in nats: an exponential's long tail, and a heap
def test_perplexities(shape, n, trials):
    covered(lambda rng: ends(exp_mean(rng.gamma(shape, 3 / shape, n))), math.exp(3), trials, 0.92)


@trials
@places
@pytest.mark.parametrize("spread", [0.3, 1.0])  # between seeds, on the logit scale
def test_shares_over_three_seeds_that_differ_and_share_their_prompts(spread, p, n, trials):
    truth = float(expit(logit(p) + spread * np.random.default_rng(1).normal(size=1_000_000)).mean())

    def draw(rng):
        luck, rates = rng.random(n), expit(logit(p) + spread * rng.normal(size=3))
        return over_seeds([share((luck < rate) * 1.0) for rate in rates], Scale(0, 1))[1:]

    covered(draw, truth, trials, 0.90)


@trials
@pytest.mark.parametrize("spread", [0.5, 5.0])  # in nats
def test_perplexities_over_three_seeds_that_differ(spread, trials):
    def draw(rng):
        own = [exp_mean(30 + spread * luck + rng.normal(size=30)) for luck in rng.normal(size=3)]
        return over_seeds(own, Scale(0, geometric=True))[1:]

    covered(draw, math.exp(30), trials, 0.90)


@trials
@places
def test_general_tasks_of_ten_subjects(p, n, trials):
    def draw(rng):
        scores = {str(k): ((rng.random(n // 10) < p * (2 * (k % 2))) * 1.0).tolist() for k in range(10)}
        return interval(scores, dict.fromkeys(scores, 0.1))

    covered(draw, p, trials, 0.92)


def asked(rng, n, layers):
    """Records whose every layer brings back half."""
    whole = rng.gamma(2, 1, n)
    parts = whole[:, None] * rng.beta(4, 4, (n, layers))
    return [
        Record("target", str(k), "?", unlearned_error=float(whole[k]), patched_errors={"attention": list(parts[k])})
        for k in range(n)
    ]


@trials
@pytest.mark.parametrize("n", [10, 30])
def test_krs_of_a_layer_and_of_the_highest_of_eight_equal_ones(n, trials):
    covered(lambda rng: ends(krs(asked(rng, n, 1), "attention", 0)), 0.5, trials, 0.90)
    covered(lambda rng: ends(krs_peak(asked(rng, n, 8), "attention")), 0.5, trials, 0.92)
