"""A number with its 95 % interval over prompts, how many prompts are behind it, and the seed.

`share` is for yes and no, `bounded_mean` for values in a range, `exp_mean` for perplexities, `median` for durations,
`plain_mean` for the rest.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 4000  # of a Monte Carlo quantile: 2.5 % are met to 0.25 %
LARGEST_LOG = math.log(sys.float_info.max)  # the exp of more is no number: it is written as the largest one


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its 95 % interval over `n` prompts; NaN for a bound that nothing is known of."""

    value: float
    low: float
    high: float
    n: int
    seed: int = 0


def nothing(seed: int = 0) -> Estimate:
    """Of no prompt at all."""
    return Estimate(math.nan, math.nan, math.nan, 0, seed)


def share(values: Sequence[float], seed: int = 0) -> Estimate:
    """The share of ones among zeros and ones, with Wilson's score interval (Wilson 1927).

    Where a prompt's several samples differ, its value is between 0 and 1: then `bounded_mean`.
    """
    data = _numbers(values)
    if len(data) == 0:
        return nothing(seed)
    if not np.isin(data, (0.0, 1.0)).all():
        return bounded_mean(values, seed)
    value = float(data.mean())
    low, high = wilson(value, len(data))
    return Estimate(value, low, high, len(data), seed)


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `n` outcomes; `n` may be an effective number, with a fraction."""
    from scipy.stats import norm  # a training needs no scipy

    z2 = norm.ppf(0.975) ** 2
    middle, half = value + z2 / (2 * n), math.sqrt(z2 * (value * (1 - value) / n + z2 / (4 * n * n)))
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return (0.0 if value == 0 else max(0.0, low)), (1.0 if value == 1 else min(1.0, high))


def bounded_mean(values: Sequence[float], seed: int = 0, bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """The mean of values within `bounds`, with Gaffke's interval (Gaffke 2005; Learned-Miller and Thomas 2019).

    The values and one more, the bound itself, get random weights that sum to 1; the interval ends at the 2.5 % quantile
    of such means with the lower bound and the 97.5 % quantile with the upper. Of zeros and ones it is the interval of
    Clopper and Pearson (1934). That it covers at least 95 % whatever the distribution is a conjecture without a known
    exception; unlike a bootstrap it does so for values that are almost all 0, and has width where all are equal.

    Raises:
        ValueError: a value outside of the bounds.
    """
    data = _numbers(values)
    if len(data) == 0:
        return nothing(seed)
    lower, upper = _random_means(data, bounds, np.random.default_rng(seed))
    return _between(float(np.clip(data.mean(), *bounds)), lower, upper, len(data), seed, bounds)


def combined(
    groups: Sequence[Sequence[float]], together: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> Estimate:
    """A number in 0 to 1 of several groups' means, each of values in 0 to 1, however many each group has.

    The random means of `bounded_mean` are drawn for each group apart and then put together (melding: Fay, Proschan and
    Brittain 2015).

    Args:
        together: (groups, ...) -> (...), growing with every mean.
    """
    data = [_numbers(group) for group in groups]
    if not data or min(map(len, data)) == 0:
        return nothing(seed)
    rng = np.random.default_rng(seed)
    lower, upper = (together(ends) for ends in np.stack([_random_means(g, (0.0, 1.0), rng) for g in data], axis=1))
    value = float(together(np.array([group.mean() for group in data])))
    return _between(min(max(value, 0.0), 1.0), lower, upper, sum(map(len, data)), seed)


def exp_mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """exp(mean(values)), a perplexity of surprises in nats, with Student's t interval of the mean on that log scale.

    Past the largest float the largest float stands; of one prompt, or of an infinite surprise, no bound is known.
    """
    data = _numbers(values, finite=False)
    if len(data) == 0:
        return nothing(seed)
    if not np.isfinite(data).all():
        return Estimate(_exp(math.inf), math.nan, math.nan, len(data), seed)
    logs = plain_mean(values, seed)
    low = max(logs.low, min(0.0, logs.value)) if logs.low == logs.low else math.nan  # a perplexity is 1 or more
    return Estimate(_exp(logs.value), _exp(low), _exp(logs.high), len(data), seed)


def plain_mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of numbers without bounds, with Student's t interval; of a single one no bound is known.

    Nor of several that are all equal, as of a model that answers nothing to every prompt: how far others may lie from
    them is not told by what does not vary.
    """
    data = _numbers(values)
    if len(data) == 0:
        return nothing(seed)
    mean, half = float(data.mean()), math.nan
    if vary(data):
        from scipy.stats import t

        half = float(t.ppf(0.975, len(data) - 1) * data.std(ddof=1) / math.sqrt(len(data)))
    return Estimate(mean, mean - half, mean + half, len(data), seed)


def median(values: Sequence[float], seed: int = 0) -> Estimate:
    """The median, which one value however far off does not move, with the exact interval of order statistics.

    Conover 1999, section 3.2. Of fewer than six values no bound is known.
    """
    data = _numbers(values)
    if len(data) == 0:
        return nothing(seed)
    low, high = math.nan, math.nan
    if len(data) > 5:
        from scipy.stats import quantile_test

        interval = quantile_test(data, p=0.5).confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
    return Estimate(float(np.median(data)), low, high, len(data), seed)


def vary(data: np.ndarray) -> bool:
    """Whether numbers differ by more than rounding."""
    return len(data) > 0 and not np.allclose(data, data[0], rtol=1e-9, atol=1e-12)


def _exp(value: float) -> float:
    return math.exp(LARGEST_LOG if value > LARGEST_LOG else value)


def _numbers(values: Sequence[float], finite: bool = True) -> np.ndarray:
    data = np.asarray(values, dtype=float)
    if np.isnan(data).any() or (finite and not np.isfinite(data).all()):
        raise ValueError("a value to be averaged is no number")
    return data


def _random_means(
    data: np.ndarray, bounds: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(DRAWS,) means with random weights of the values and the lower bound, and of the values and the upper one."""
    slack = 1e-6 * (bounds[1] - bounds[0])  # of a product of unit vectors, say
    if data.min() < bounds[0] - slack or data.max() > bounds[1] + slack:
        raise ValueError(f"{data.min():g} to {data.max():g} leaves the range {bounds[0]:g} to {bounds[1]:g}")
    distinct, counts = np.unique(np.clip(data, *bounds), return_counts=True)
    lower, upper = np.empty(DRAWS), np.empty(DRAWS)
    rows = max(1, 2_000_000 // len(distinct))
    for start in range(0, DRAWS, rows):
        part = slice(start, min(start + rows, DRAWS))
        weights = rng.gamma(counts, size=(part.stop - start, len(counts)))
        extra = rng.exponential(size=part.stop - start)
        total, whole = weights @ distinct, weights.sum(axis=1) + extra
        lower[part], upper[part] = (total + extra * bounds[0]) / whole, (total + extra * bounds[1]) / whole
    return lower, upper


def _between(
    value: float,
    lower: np.ndarray,
    upper: np.ndarray,
    n: int,
    seed: int,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    low, high = float(np.quantile(lower, 0.025)), float(np.quantile(upper, 0.975))
    return Estimate(value, max(bounds[0], min(low, value)), min(bounds[1], max(high, value)), n, seed)
