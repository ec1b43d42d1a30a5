"""Literal bounds, and what must be true of every interval."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from unlearnkit.measures.interval import Estimate, bounded_mean, combined, exp_mean, median, plain_mean, share


def mean_of_means(*groups, seed=0):
    return combined(groups, lambda means: means.mean(axis=0), seed)


def yes_no(yes, n):
    return [1.0] * yes + [0.0] * (n - yes)


@pytest.mark.parametrize(
    ("yes", "n", "low", "high"),
    [
        (0, 30, 0.0, 0.1135),  # Brown, Cai and DasGupta (2001) and any table of Wilson's interval
        (30, 30, 0.8865, 1.0),
        (12, 40, 0.1807, 0.4543),
        (81, 263, 0.2553, 0.3662),
        (0, 1, 0.0, 0.7935),
    ],
)
def test_a_share_has_wilsons_interval(yes, n, low, high):
    found = share(yes_no(yes, n), seed=3)
    assert (found.value, found.n, found.seed) == (yes / n, n, 3)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize("n", [1, 2, 7, 30, 100, 1000])
def test_a_share_is_as_scipy_has_it(n):
    for yes in {0, 1, n // 3, n // 2, n}:
        found, other = share(yes_no(yes, n)), binomtest(yes, n).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_samples_of_a_prompt_that_differ_make_a_share_a_bounded_mean():
    values = [0.0, 0.5, 1.0, 0.25]
    assert share(values, seed=2) == bounded_mean(values, seed=2)


@pytest.mark.parametrize(("yes", "n"), [(0, 30), (3, 30), (15, 30), (30, 30), (1, 100)])
def test_a_bounded_mean_of_zeros_and_ones_is_clopper_and_pearsons(yes, n):
    found = bounded_mean(yes_no(yes, n))
    low = beta.ppf(0.025, yes, n - yes + 1) if yes else 0.0
    high = beta.ppf(0.975, yes + 1, n - yes) if yes < n else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)  # of 4,000 draws


def test_equal_values_have_an_interval_of_some_width():
    """The n + 1 weights are uniform on the simplex, so that the bound's own is below 1 - 0.025 ** (1 / n)."""
    found, most = bounded_mean([0.4] * 30), 1 - 0.025 ** (1 / 30)
    assert (found.low, found.high) == pytest.approx((0.4 * (1 - most), 0.4 + 0.6 * most), abs=0.006)


def test_other_bounds_move_and_stretch_it():
    values = np.random.default_rng(0).uniform(0.2, 0.7, 40)
    plain, percent, cosine = bounded_mean(values), bounded_mean(100 * values, bounds=(0, 100)), bounded_mean
    assert (percent.low, percent.high) == pytest.approx((100 * plain.low, 100 * plain.high))
    moved = cosine(2 * values - 1, bounds=(-1, 1))
    assert (moved.low, moved.high) == pytest.approx((2 * plain.low - 1, 2 * plain.high - 1))


def test_the_same_seed_gives_the_same_interval_and_blocks_of_draws_do_too():
    values = np.random.default_rng(1).uniform(size=1000)  # two blocks
    assert bounded_mean(values) == bounded_mean(values)
    assert bounded_mean(values).high != bounded_mean(values, seed=1).high
    assert bounded_mean(values).high - bounded_mean(values).low == pytest.approx(2 * 1.96 * 0.289 / 1000**0.5, rel=0.1)


def test_a_perplexity_has_students_t_on_the_log_scale():
    found = exp_mean([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)  # t(0.975, 2) * s / sqrt(n)
    assert found.value == pytest.approx(math.exp(2))
    assert (found.low, found.high) == (1.0, pytest.approx(math.exp(2 + half)))  # never below 1
    narrow = exp_mean([1.9, 2.0, 2.1])
    assert (narrow.low, narrow.high) == pytest.approx((math.exp(2 - half / 10), math.exp(2 + half / 10)))


@pytest.mark.parametrize("values", [[900.0, 1000.0, 1100.0], [1.0, math.inf]])
def test_a_perplexity_past_the_largest_float_is_that_float(values):
    found = exp_mean(values)
    assert found.value == pytest.approx(1.7976931348623157e308)
    assert math.isfinite(found.value) and found.value > 1e10


def test_numbers_without_bounds():
    half = 4.302652729911275 * 2 / math.sqrt(3)
    found = plain_mean([2.0, 4.0, 6.0], seed=1)
    assert (found.value, found.n, found.seed) == (4.0, 3, 1)
    assert (found.low, found.high) == pytest.approx((4 - half, 4 + half))


def test_of_one_number_without_bounds_no_interval_is_known():
    for found in (plain_mean([5.0]), exp_mean([math.log(5.0)])):
        assert found.value == pytest.approx(5.0) and math.isnan(found.low) and math.isnan(found.high)


def test_nor_of_numbers_without_bounds_that_are_all_equal():
    """Thirty answers of which each is empty: their perplexity is not known to the last digit for that."""
    third = [0.1 + 0.2, 0.3, 0.3]  # equal but for rounding
    for found in (plain_mean(third), exp_mean([math.log(0.3)] * 30)):
        assert found.value == pytest.approx(0.3) and math.isnan(found.low) and math.isnan(found.high)


def test_each_group_of_a_mean_of_means_counts_half_however_large():
    found = mean_of_means([1.0] * 30, [0.0, 0.5], seed=4)
    assert (found.value, found.n, found.seed) == (0.625, 32, 4)
    assert 0.35 < found.low < 0.5 and 0.8 < found.high < 1.0
    one = mean_of_means([1.0] * 1000, [0.0, 1.0] * 500)
    half = 1.96 * 0.5 * 0.5 / 1000**0.5
    assert (one.low, one.high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.003)


def test_a_mean_of_means_has_the_same_bounds_as_ever():
    found = mean_of_means([1.0] * 10 + [0.5], [0.0, 0.25, 1.0], seed=7)
    assert found == Estimate(0.6856060606060607, 0.42215173831749325, 0.9406892850413797, 14, 7)


def test_of_three_groups_and_another_way_to_put_them_together():
    groups = ([1.0] * 300, [0.5] * 300, [0.0, 1.0] * 150)
    found = combined(groups, lambda means: means.min(axis=0), seed=2)
    assert (found.value, found.n, found.seed) == (0.5, 900, 2)
    assert mean_of_means(*groups).value == pytest.approx(2 / 3)
    alone = combined([[0.3, 0.9]], lambda means: means[0], seed=5)
    assert alone == bounded_mean([0.3, 0.9], seed=5)


def test_of_no_group_nothing_is_known():
    assert combined([], lambda means: means.mean(axis=0)).n == 0


@pytest.mark.parametrize("make", [share, bounded_mean, exp_mean, plain_mean, lambda values: mean_of_means([1], values)])
def test_of_nothing_nothing_is_known_and_nan_is_refused(make):
    found = make([])
    assert all(math.isnan(x) for x in (found.value, found.low, found.high)) and found.n == 0
    with pytest.raises(ValueError, match="no number"):
        make([0.5, math.nan])


def test_what_leaves_its_range_is_refused_but_for_rounding():
    with pytest.raises(ValueError, match="leaves the range"):
        bounded_mean([0.5, 1.5])
    assert bounded_mean([1 + 1e-7, 1.0]).high <= 1


def random_values(rng):
    """Zeros and ones, shares, equal values, values close to a bound."""
    n = int(rng.integers(1, 60))
    kinds = (
        (rng.random(n) < rng.random()) * 1.0,
        rng.random(n),
        np.full(n, rng.choice([0.0, 1.0, rng.random()])),
        rng.beta(0.05, 2, n),
        1 - rng.beta(0.05, 2, n),
    )
    return kinds[rng.integers(len(kinds))]


@pytest.mark.parametrize("seed", range(40))
def test_no_interval_leaves_its_range_or_misses_its_value_or_lacks_width(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        values, other = random_values(rng), random_values(rng)
        for found in (share(values), bounded_mean(values, seed), mean_of_means(values, other, seed=seed)):
            assert 0 <= found.low <= found.value <= found.high <= 1
            assert found.high - found.low > 0.01
        wide = bounded_mean(100 * values, seed, (0, 100))
        assert 0 <= wide.low <= wide.value <= wide.high <= 100
        found = exp_mean(50 * values)
        if np.ptp(values) > 1e-6:
            assert 1 <= found.low <= found.value * (1 + 1e-12) and found.value <= found.high * (1 + 1e-12)


def test_an_estimate_is_its_five_numbers():
    assert Estimate(0.5, 0.4, 0.6, 10) == Estimate(0.5, 0.4, 0.6, 10, seed=0)


def test_a_median_and_its_order_statistics():
    # binomial(10, 1/2): P(X <= 1) = 0.0107 and P(X <= 2) = 0.0547, so the second and the ninth of ten values
    steps = [3.0, 1.0, 2.0, 5.0, 4.0, 6.0, 7.0, 8.0, 9.0, 1000.0]
    estimate = median(steps, seed=3)
    assert (estimate.value, estimate.low, estimate.high, estimate.n, estimate.seed) == (5.5, 2.0, 9.0, 10, 3)


def test_a_median_of_few_values_has_no_bounds():
    estimate = median([2.0, 1.0, 9.0, 3.0, 4.0])
    assert estimate.value == 3.0 and math.isnan(estimate.low) and math.isnan(estimate.high)
    assert median([]).n == 0
