import math

import numpy as np
import pytest

from unlearnkit.metrics.interval import Estimate, estimate, estimate_mean_of_means

FLAGS = [1.0] * 12 + [0.0] * 28


def plain_bootstrap(values, seed):
    """Efron's percentile interval of a mean, written out: one resample a row, in one draw."""
    data, rng = np.asarray(values, dtype=float), np.random.default_rng(seed)
    means = sorted(data[rng.integers(0, len(data), (2000, len(data)))].mean(axis=1))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


@pytest.mark.parametrize("seed", [0, 3])
def test_it_is_the_percentile_bootstrap(seed):
    found = estimate(FLAGS, seed=seed)
    assert (found.value, found.n, found.seed) == (0.3, 40, seed)
    assert (found.low, found.high) == pytest.approx(plain_bootstrap(FLAGS, seed), abs=1e-12)


def test_literal_numbers():
    found = estimate(FLAGS)
    assert (found.low, found.high) == (0.175, 0.45)  # near the normal 0.3 -+ 0.142


def test_a_transform_applies_to_the_mean_and_its_bounds():
    nll = list(np.linspace(1.0, 4.0, 25))
    plain, perplexity = estimate(nll), estimate(nll, np.exp)
    assert perplexity.value == pytest.approx(math.exp(2.5))
    assert (perplexity.low, perplexity.high) == pytest.approx((math.exp(plain.low), math.exp(plain.high)))
    assert perplexity.low < perplexity.value < perplexity.high


def test_same_seed_same_interval_and_another_seed_another():
    values = np.random.default_rng(1).normal(size=30)
    assert estimate(values) == estimate(values)
    assert estimate(values).low != estimate(values, seed=1).low


def test_more_rows_narrow_it_as_one_over_root_n():
    few, many = estimate(FLAGS), estimate(FLAGS * 16)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.15)


def test_it_covers_the_mean_about_95_times_in_100():
    rng = np.random.default_rng(0)
    draws = [estimate(rng.normal(size=60), seed=i) for i in range(200)]
    assert 0.90 <= sum(d.low <= 0 <= d.high for d in draws) / 200 <= 0.99


def test_constant_data_and_one_value_have_no_width():
    assert estimate([2.0, 2.0, 2.0]) == Estimate(2.0, 2.0, 2.0, 3)
    assert estimate([0.5]) == Estimate(0.5, 0.5, 0.5, 1)
    assert estimate([0.0], np.exp) == Estimate(1.0, 1.0, 1.0, 1)


def test_no_value_is_nan():
    found = estimate([])
    assert all(math.isnan(x) for x in (found.value, found.low, found.high)) and found.n == 0


@pytest.mark.parametrize("seed", [0, 3])
def test_a_mean_of_means_draws_from_each_group_apart(seed):
    first, second = np.asarray(FLAGS), np.linspace(0.0, 1.0, 7) ** 2
    found = estimate_mean_of_means(first, second, seed=seed)
    rng = np.random.default_rng(seed)
    draws = [group[rng.integers(0, len(group), (2000, len(group)))].mean(axis=1) for group in (first, second)]
    bounds = np.quantile((draws[0] + draws[1]) / 2, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(bounds), abs=1e-12)
    assert found.value == pytest.approx((0.3 + 91 / 36 / 7) / 2)  # squares of 0 to 6 sum to 91
    assert (found.n, found.seed) == (47, seed)


def test_each_group_counts_half_however_large():
    found = estimate_mean_of_means([1.0] * 30, [0.0, 0.5])
    assert (found.value, found.low, found.high, found.n) == (0.625, 0.5, 0.75, 32)


def test_one_row_in_a_group_adds_no_width():
    for groups in (([1.0], [0.0, 0.5]), ([0.0, 0.5], [1.0])):
        assert estimate_mean_of_means(*groups) == Estimate(0.625, 0.5, 0.75, 3)


def test_a_mean_of_means_without_spread_or_without_rows():
    assert estimate_mean_of_means([1.0, 1.0], [0.5], seed=2) == Estimate(0.75, 0.75, 0.75, 3, 2)
    for groups in (([], [1.0]), ([1.0], []), ([], [])):
        found = estimate_mean_of_means(*groups)
        assert all(math.isnan(x) for x in (found.value, found.low, found.high)) and found.n == 0
