"""The mean over seeds with an interval that stays in the metric's range and is never narrower than one seed's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearnkit.measures.interval import Estimate

SMALLEST = 1e-12  # distance from a bound, where a logarithm of 0 would be taken


@dataclass(frozen=True)
class Scale:
    """Where a metric's values lie, and so on which scale seeds differ alike all over it.

    Between two bounds that is the logit's, beside one bound the logarithm's, else the numbers' own.

    Args:
        geometric: the mean over seeds is meant on that scale too, as a perplexity's is.
    """

    low: float = -math.inf
    high: float = math.inf
    geometric: bool = False

    @property
    def bounded(self) -> bool:
        """On both sides."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def stretched(self, values: np.ndarray, n: np.ndarray) -> np.ndarray:
        """On the scale without bounds; a share of 0 or 1 of n prompts counts as if half a prompt more had differed."""
        if self.bounded:
            part = ((values - self.low) / (self.high - self.low) * n + 0.5) / (n + 1)
            return np.log(part / (1 - part))
        if math.isfinite(self.low):
            return np.log(np.maximum(values - self.low, SMALLEST))
        if math.isfinite(self.high):
            return -np.log(np.maximum(self.high - values, SMALLEST))
        return values

    def back(self, value: float) -> float:
        """The inverse, but for the half prompt."""
        with np.errstate(over="ignore"):
            size = float(np.exp(-value))
            if self.bounded:
                return self.low + (self.high - self.low) / (1 + size)
            if math.isfinite(self.low):
                return self.low + min(float(np.exp(value)), np.finfo(float).max)
            return self.high - min(size, np.finfo(float).max) if math.isfinite(self.high) else value


def over_seeds(estimates: Sequence[Estimate], scale: Scale) -> tuple[float, float, float]:
    """Mean over two or more seeds, and the bounds of its 95 % interval.

    Student's t on the scale without bounds. The seeds are asked the same prompts, of which t over seeds knows nothing:
    so the interval reaches on each side at least as far from the mean as the widest of the seeds' own. Not finite: no
    bound is known.
    """
    values = np.array([e.value for e in estimates])
    if not np.isfinite(values).all():
        return float(values.mean()), math.nan, math.nan
    from scipy.stats import t

    points = scale.stretched(values, np.array([max(e.n, 1) for e in estimates], dtype=float))
    middle, count = float(points.mean()), len(points)
    half = float(t.ppf(0.975, count - 1) * points.std(ddof=1) / math.sqrt(count))
    value = scale.back(middle) if scale.geometric else float(values.mean())
    low, high = scale.back(middle - half), scale.back(middle + half)
    if half == 0:  # and not what rounding, or the half prompt, makes of it
        low = high = value = float(values[0])
    own_low, own_high = _widest(estimates, value, scale)
    return value, min(low, value, own_low), max(high, value, own_high)


def _widest(estimates: Sequence[Estimate], value: float, scale: Scale) -> tuple[float, float]:
    """The widest reach of the seeds' own intervals, laid around the mean and kept in the range."""
    known = [e for e in estimates if math.isfinite(e.low) and math.isfinite(e.high)]
    if not known:
        return value, value
    if scale.geometric:
        return value * min(_ratio(e.low, e.value) for e in known), min(
            value * max(_ratio(e.high, e.value) for e in known), np.finfo(float).max
        )
    below, above = max(e.value - e.low for e in known), max(e.high - e.value for e in known)
    low, high = max(scale.low, value - below), min(scale.high, value + above)
    lacking = max(e.high - e.low for e in known) - (high - low)  # where the range has cut a side off
    if lacking > 0:
        low, high = (low, high + lacking) if low == scale.low else (low - lacking, high)
    return max(scale.low, low), min(scale.high, high)


def _ratio(bound: float, value: float) -> float:
    return bound / value if value > 0 else 1.0
