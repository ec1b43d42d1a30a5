"""OpenUnlearning's three aggregates and the number of them all (Dorna et al. 2025, arXiv:2506.12618)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from unlearnkit.errors import UserError
from unlearnkit.measures.auc import auc
from unlearnkit.measures.base import Measure
from unlearnkit.measures.combined import HarmonicMean, OfMeasures
from unlearnkit.measures.display import SHARE
from unlearnkit.measures.interval import Estimate, combined, nothing
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record


class Memorisation(HarmonicMean):
    """Harmonic mean of 1 - x over measures x of what is still known: 1 where nothing is, 0 as soon as one knows all."""

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        return combined([[1 - value for value in group] for group in groups], self.together, seed)


class Privacy(OfMeasures):
    """Harmonic mean over scores of s = 1 - |AUC - AUC'| / AUC', at least 0, AUC' being a control's.

    The interval has each AUC anywhere in its own interval.

    Args:
        of: the scores that membership is told by.
        members, others: two sets, or roles.
        against: the moment of the run that is compared with.
    """

    scale, decimals = SHARE, 3

    def __init__(
        self, of: Sequence[str], members: str = "forget", others: str = "holdout", against: str = "never_knew"
    ):
        super().__init__({members: list(of), others: list(of)})
        self.against, self.count = against, len(of)

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        if not controls:
            return nothing(seed)
        pairs = zip(range(self.count), range(self.count, 2 * self.count), strict=True)
        scores = [(auc(groups[a], groups[b], seed), auc(controls[a], controls[b], seed)) for a, b in pairs]
        if any(not own.n or not other.n or not other.value for own, other in scores):
            return nothing(seed)
        spans = [_like(own, other) for own, other in scores]
        low, value, high = (_harmonic([span[place] for span in spans]) for place in range(3))
        return Estimate(value, low, high, scores[0][0].n, seed)


class Utility(OfMeasures):
    """A harmonic mean of measures, as TOFU's utility, over the start's; with fluency, harmonic mean of both ratios.

    It may pass 1. The interval is that of this model's own means; the start's are taken as they are.

    Args:
        of: what utility is made of.
        fluency: a set or role -> the measure of fluency there; where nothing has it the first ratio stands alone.
    """

    scale, decimals = Scale(0.0), 3

    def __init__(
        self, of: Mapping[str, str | list[str]], fluency: Mapping[str, str] | None = None, against: str = "start"
    ):
        mean = HarmonicMean(of)
        self.utility = sum(map(len, mean.of.values()))
        super().__init__(of)
        for side, name in (fluency or {}).items():  # behind all others
            self.of[f"{side}"] = [*self.of.pop(side, []), name]
        self.against, self.harmonic, self.fluency = against, mean, dict(fluency or {})
        self.places = [(side, part) for side, parts in self.of.items() for part in parts]

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        if not controls:
            return nothing(seed)
        fluent = [place for place, key in enumerate(self.places) if key in self.fluency.items()]
        rest = [place for place in range(len(self.places)) if place not in fluent]
        ratios = [_ratio(self.harmonic, [groups[p] for p in rest], [controls[p] for p in rest], seed)]
        if fluent and all(len(groups[p]) and len(controls[p]) for p in fluent):
            ratios.append(_ratio(self.harmonic, [groups[p] for p in fluent], [controls[p] for p in fluent], seed))
        if any(ratio is None for ratio in ratios):
            return nothing(seed)
        known = [ratio for ratio in ratios if ratio is not None]
        low, value, high = (_harmonic([ratio[place] for ratio in known]) for place in range(3))
        return Estimate(value, low, high, sum(map(len, groups)), seed)


class OfNumbers(Measure):
    """Harmonic mean of numbers that the same set of the evaluation has; of nothing where one is missing.

    Args:
        of: measures that are taken on that set, too.

    Raises:
        UserError: of none.
    """

    scale, decimals = Scale(0.0), 3

    def __init__(self, of: Sequence[str]):
        self.of = list(of)
        self.better = {None: "higher"}
        if not self.of:
            raise UserError("OfNumbers of nothing", "Name them: of: [memorisation, privacy, utility]")

    def value(self, record: Record, role: str | None) -> float | None:
        raise TypeError("OfNumbers is of numbers, not of records")

    def of_numbers(self, numbers: Sequence[Estimate | None], seed: int = 0) -> Estimate:
        """The interval has every part at its lower, and at its upper end."""
        known = [number for number in numbers if number is not None and number.n]
        if len(known) < len(numbers):
            return nothing(seed)
        ends = ([n.low for n in known], [n.value for n in known], [n.high for n in known])
        low, value, high = map(_harmonic, ends)
        return Estimate(value, low, high, sum(n.n for n in known), seed)


def _like(own: Estimate, other: Estimate) -> tuple[float, float, float]:
    """(low, value, high) of s."""
    low, high = own.low / other.high, own.high / max(other.low, 1e-12)
    value, *ends = (max(0.0, 1 - abs(ratio - 1)) for ratio in (own.value / other.value, low, high))
    return min(ends), value, 1.0 if low <= 1 <= high else max(ends)


def _ratio(
    mean: HarmonicMean, own: list[Sequence[float]], start: list[Sequence[float]], seed: int
) -> tuple[float, float, float] | None:
    mine, before = mean.of_groups(own, seed), mean.of_groups(start, seed)
    if not mine.n or not before.n or not before.value:
        return None
    return mine.low / before.value, mine.value / before.value, mine.high / before.value


def _harmonic(values: Sequence[float]) -> float:
    if any(map(math.isnan, values)):
        return math.nan
    return 0.0 if min(values) <= 0 else float(1 / np.mean([1 / value for value in values]))
