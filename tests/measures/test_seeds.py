"""The mean over seeds: by hand, and what must be true of it."""

import math

import numpy as np
import pytest

from unlearnkit import measures
from unlearnkit.measures.display import USUAL, usual
from unlearnkit.measures.interval import Estimate, exp_mean, share
from unlearnkit.measures.seeds import Scale, over_seeds

T = 4.302652729911275  # t(0.975, 2)
SHARE, PERPLEXITY = Scale(0, 1), Scale(0, geometric=True)


def narrow(*values, n=60):
    return [Estimate(value, value, value, n) for value in values]


def test_numbers_without_bounds_by_hand():
    half = T * 2 / math.sqrt(3)  # t * s / sqrt(n)
    assert over_seeds(narrow(2.0, 4.0, 6.0), Scale()) == pytest.approx((4, 4 - half, 4 + half))


def test_perplexities_are_averaged_on_the_log_scale():
    value, low, high = over_seeds(narrow(213.0, 213.0, 1.7e7), PERPLEXITY)
    logs = [math.log(213), math.log(213), math.log(1.7e7)]
    middle, half = sum(logs) / 3, T * (logs[2] - logs[0]) / math.sqrt(3) / math.sqrt(3)
    assert value == pytest.approx((213 * 213 * 1.7e7) ** (1 / 3))  # and not 5.6e6
    assert (low, high) == pytest.approx((math.exp(middle - half), math.exp(middle + half)))


def test_shares_are_averaged_as_they_are_with_an_interval_on_the_logit_scale():
    value, low, high = over_seeds(narrow(0.1, 0.2, 0.3, n=100), SHARE)
    logits = [math.log(yes / (101 - yes)) for yes in (10.5, 20.5, 30.5)]
    middle = sum(logits) / 3
    half = T * math.sqrt(sum((x - middle) ** 2 for x in logits) / 2) / math.sqrt(3)
    assert value == pytest.approx(0.2)
    assert (low, high) == pytest.approx((1 / (1 + math.exp(half - middle)), 1 / (1 + math.exp(-half - middle))))


def test_the_range_is_never_left():
    assert over_seeds(narrow(0.0, 0.0, 1.0), SHARE)[1:] == (
        pytest.approx(0.000004, abs=1e-5),
        pytest.approx(1, abs=1e-3),
    )
    assert 0 <= over_seeds(narrow(0.0, 0.01, 0.99), SHARE)[1] and over_seeds(narrow(1.0, 1.0, 0.2), SHARE)[2] <= 1
    assert over_seeds(narrow(-3.0, 0.9, 0.99), Scale(high=1.0))[2] <= 1
    assert over_seeds(narrow(1.0, 1e300, 1e-3), PERPLEXITY)[1] >= 0


def test_it_is_never_narrower_than_one_seeds_own():
    same = [share([0.0] * 30)] * 3
    assert over_seeds(same, SHARE) == (0.0, 0.0, pytest.approx(0.1135, abs=1e-4))
    unequal = [share([1.0] * yes + [0.0] * (30 - yes)) for yes in (14, 15, 16)]
    value, low, high = over_seeds(unequal, SHARE)
    assert value == pytest.approx(0.5) and high - low >= max(e.high - e.low for e in unequal) - 1e-12
    perplexities = [exp_mean([1.0, 2.0, 3.0, 4.0])] * 2
    value, low, high = over_seeds(perplexities, PERPLEXITY)
    assert (value, low, high) == pytest.approx((perplexities[0].value, perplexities[0].low, perplexities[0].high))


@pytest.mark.parametrize("seed", range(30))
def test_of_random_seeds(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        n, center, spread = int(rng.integers(5, 120)), rng.normal(0, 3), rng.choice([0.0, 0.3, 2.0])
        rates = 1 / (1 + np.exp(-(center + spread * rng.normal(size=rng.integers(2, 6)))))
        own = [share((rng.random(n) < rate) * 1.0) for rate in rates]
        value, low, high = over_seeds(own, SHARE)
        assert 0 <= low <= value <= high <= 1
        assert high - low >= max(e.high - e.low for e in own) - 1e-9


def test_what_is_not_finite_has_no_interval():
    for odd in (math.nan, math.inf):
        value, low, high = over_seeds(narrow(1.0, odd), PERPLEXITY)
        assert not math.isfinite(value) and math.isnan(low) and math.isnan(high)


def test_every_measure_is_averaged_on_a_scale_of_its_own():
    of = {"forget": "success"}
    rates = [measures.HarmfulRate(), measures.Success(), measures.SuccessWhole(), measures.RougeL(), measures.Guarded()]
    others = [measures.Probability(), measures.ProbabilityNormalised(), measures.TruthRatio()]
    combined = [measures.Mean(of), measures.HarmonicMean(of), measures.KSTest("success", "forget")]
    assert all(measure.rate for measure in rates)
    assert all(measure.display("retain").scale == SHARE for measure in (*rates, *others, *combined))
    assert all(shown.scale == SHARE for shown in USUAL.values() if shown.rate)
    answers, responses = measures.AnswerPerplexity().display("forget"), measures.Perplexity().display("retain")
    assert answers.scale == responses.scale == usual("tokens_perplexity").scale == PERPLEXITY
    assert measures.Bleu().display("forget").scale == Scale(0, 100)
    assert measures.Similarity().display("retain").scale == Scale(-1, 1)
    assert usual("peak").scale == usual("layer_03").scale == Scale(high=1.0)
    assert measures.Similarity(bounds=None).display("retain").scale == Scale() and usual("new_rate").scale == SHARE
