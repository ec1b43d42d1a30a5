"""Every number comes with its 95 % bootstrap interval, the number of rows behind it and the seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its 95 % interval over `n` records (all NaN where there is no record)."""

    value: float
    low: float
    high: float
    n: int
    seed: int = 0


def estimate(
    values: Sequence[float], transform: Callable[[np.ndarray], np.ndarray] = lambda mean: mean, seed: int = 0
) -> Estimate:
    """`transform(mean(values))` with a percentile bootstrap over records (Efron 1979; 2,000 resamples).

    Args:
        values: one number a record.
        transform: a monotone function of the mean, such as `np.exp` for a perplexity.
    """
    data = np.asarray(values, dtype=float)
    if len(data) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, seed)
    value = float(transform(data.mean()))
    if len(data) == 1 or np.ptp(data) == 0:
        return Estimate(value, value, value, len(data), seed)
    interval = _bootstrap((data,), np.mean, seed)
    return Estimate(value, float(transform(interval.low)), float(transform(interval.high)), len(data), seed)


def estimate_mean_of_means(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Estimate:
    """(mean(first) + mean(second)) / 2 with a percentile bootstrap that draws from each group apart."""
    groups = tuple(np.asarray(group, dtype=float) for group in (first, second))
    if min(map(len, groups)) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, seed)
    value, count = float(sum(group.mean() for group in groups) / 2), sum(map(len, groups))
    if all(np.ptp(group) == 0 for group in groups):
        return Estimate(value, value, value, count, seed)
    # scipy refuses a group of one; twice the same value draws like it.
    groups = tuple(np.repeat(group, 2) if len(group) == 1 else group for group in groups)
    interval = _bootstrap(groups, lambda a, b, axis=-1: (a.mean(axis=axis) + b.mean(axis=axis)) / 2, seed)
    return Estimate(value, float(interval.low), float(interval.high), count, seed)


def _bootstrap(groups: tuple[np.ndarray, ...], statistic: Callable[..., Any], seed: int) -> Any:
    from scipy.stats import bootstrap  # a training needs no scipy

    return bootstrap(
        groups,
        statistic,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(seed),
        vectorized=True,
    ).confidence_interval
