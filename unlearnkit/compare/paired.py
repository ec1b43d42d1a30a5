"""The difference of two runs on the prompts that both answered: its interval and whether it is chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from scipy.optimize import brentq
from scipy.stats import norm

from unlearnkit.compare import combined
from unlearnkit.compare.sides import Side, part_of
from unlearnkit.measures.base import Measure
from unlearnkit.measures.columns import Column
from unlearnkit.measures.combined import Combined, OfMeasures
from unlearnkit.measures.display import Display
from unlearnkit.measures.interval import LARGEST_LOG, bounded_mean, vary
from unlearnkit.measures.paired import paired

DRAWS = 10_000  # of the bootstrap
Prompt = tuple[str, str, str]


@dataclass(frozen=True)
class Difference:
    """The other run's number less the first's, over their `n` common prompts; of perplexities the ratio of the two.

    Args:
        p: two-sided, of no difference.
    """

    value: float
    low: float
    high: float
    n: int
    ratio: bool
    p: float


def difference(first: Side, other: Side, column: Column, family: int = 1) -> Difference | None:
    """None where a number is no mean over prompts, where the two measure otherwise, or where no prompt is common.

    Args:
        family: of how many tests this is one.
    """
    measure = _measure(first, other, column)
    if measure is None or not all(part_of(column) in side.parts for side in (first, other)):
        return None
    if isinstance(measure, OfMeasures):
        return _of_measures(first, other, column, measure, family) if isinstance(measure, Combined) else None
    mine, theirs = (_values(side, column, measure) for side in (first, other))
    apart = [theirs[key] - mine[key] for key in mine if key in theirs]
    scale = column.display.scale
    return of_prompts(apart, scale.geometric, family, scale.high - scale.low) if apart else None


def _of_measures(first: Side, other: Side, column: Column, measure: Combined, family: int) -> Difference | None:
    """None where a number is not found again from the records and the sets' roles, as far as these are known."""
    roles = {c[-2]: c.display.role for c in first.numbers if c[:-2] == column[:-2]}
    groups: list[list[tuple[str, list[dict[Prompt, float]]]]] = []  # set, and each run's values
    for place, names in measure.of.items():
        members = [place] if place in first.rows(part_of(column)) else [s for s, role in roles.items() if role == place]
        for name in names:
            part = _measure(first, other, Column((*column[:-1], name)))
            if part is None or isinstance(part, OfMeasures):
                return None
            own = [Column((*column[:-2], member, name), Display(role=roles.get(member))) for member in members]
            groups.append([(c[-2], [_values(side, c, part) for side in (first, other)]) for c in own])
    for number, side in enumerate((first, other)):
        again = combined.value(measure, [[v for _, runs in group for v in runs[number].values()] for group in groups])
        if not math.isclose(again, side.numbers[column].value, rel_tol=1e-6, abs_tol=1e-9):
            return None
    blocks = [
        combined.Block(*(_table(groups, place, number) for number in (0, 1)))
        for place in dict.fromkeys(place for group in groups for place, _ in group)
    ]
    n = sum(block.first.shape[1] for block in blocks)
    if not all(block.first.shape[1] for block in blocks):
        return None
    value, low, high, p = combined.difference(measure, blocks, DRAWS, family)
    return Difference(value, low, high, n, False, p) if math.isfinite(value) else None


def _table(
    groups: Sequence[Sequence[tuple[str, Sequence[Mapping[Prompt, float]]]]], place: str, number: int
) -> np.ndarray:
    """(groups, prompts) a run's values on the set `place`, NaN where not both runs have one."""
    shared = [[mine.keys() & theirs.keys() for own, (mine, theirs) in group if own == place] for group in groups]
    prompts = sorted(set().union(*(keys for each in shared for keys in each)))
    rows = np.full((len(groups), len(prompts)), math.nan)
    for row, group in enumerate(groups):
        for own, runs in group:
            for at, prompt in enumerate(prompts):
                if own == place and prompt in runs[0] and prompt in runs[1]:
                    rows[row, at] = runs[number][prompt]
    return rows


def of_prompts(
    differences: Sequence[float], ratio: bool = False, family: int = 1, span: float = math.inf
) -> Difference:
    """Of differences prompt by prompt; of a ratio on the logarithmic scale.

    Of outcomes that are 0 or 1 the interval is Tango's. Of others, where all are equal a bootstrap has no width: it is
    then that of a mean within bounds, or not known.

    Args:
        family: of how many tests this is one.
        span: how far apart two runs can be on a prompt.
    """
    value = sum(differences) / len(differences)
    data = np.asarray(differences, dtype=float)
    if not ratio and len(data) > 1 and np.isin(data, (-1, 0, 1)).all():
        low, high = score_interval(int((data > 0).sum()), int((data < 0).sum()), len(data))
    elif len(data) < 2 or vary(data):
        low, high = bootstrap(differences)
    else:
        mean = bounded_mean(differences, bounds=(-span, span)) if math.isfinite(span) else None
        low, high = (mean.low, mean.high) if mean else (math.nan, math.nan)
    if ratio:
        value, low, high = (math.exp(min(end, LARGEST_LOG)) for end in (value, low, high))
    return Difference(value, low, high, len(differences), ratio, paired(differences, family))


def score_interval(up: int, down: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of the difference of two paired proportions (Tango 1998, Statistics in Medicine 17, 891).

    A bootstrap of 60 pairs of which one differs covers 41 % to 70 %; this covers 93 % to 100 %.

    Args:
        up, down: of `n` pairs, how many are 1 less 0, and how many 0 less 1.
    """
    z = float(norm.ppf(0.975))

    def score(apart: float) -> float:
        linear = (2 * n - up + down) * apart - up - down
        root = math.sqrt(max(0.0, linear**2 + 8 * n * down * apart * (1 - apart)))
        spread = n * ((root - linear) / (2 * n) + apart * (1 - apart))
        gap = up - down - n * apart
        return gap / math.sqrt(spread) if spread > 0 else math.copysign(1e9, gap) if gap else 0.0

    value = (up - down) / n
    low = brentq(lambda apart: score(apart) - z, -1, value) if value > -1 else -1.0
    high = brentq(lambda apart: score(apart) + z, value, 1) if value < 1 else 1.0
    return float(low), float(high)


def bootstrap(differences: Sequence[float], draws: int = DRAWS) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the mean of as many prompts, drawn with replacement (Efron 1979).

    The draws are the same each time. Of a single prompt no bound is known.
    """
    if len(differences) < 2:
        return math.nan, math.nan
    data, rng = np.asarray(differences, dtype=float), np.random.default_rng(0)
    means = np.empty(draws)
    rows = max(1, combined.AT_ONCE // len(data))
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        means[start:stop] = data[rng.integers(len(data), size=(stop - start, len(data)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _measure(first: Side, other: Side, column: Column) -> Measure | None:
    """What both runs' configs say that a column's measure is."""
    configs = [_config(side, column) for side in (first, other)]
    if configs[0] is None or configs[0] != configs[1]:
        return None
    try:
        measure = instantiate(configs[0])
    except InstantiationException:  # the user's own, of a package that is not here
        return None
    return measure if isinstance(measure, Measure) else None


def _config(side: Side, column: Column) -> Mapping[str, object] | None:
    evaluation = side.evaluations(column).get(column[-3])
    measures = evaluation.get("measures") if isinstance(evaluation, Mapping) else None
    return measures.get(column[-1]) if isinstance(measures, Mapping) else None


def _values(side: Side, column: Column, measure: Measure) -> dict[Prompt, float]:
    """The mean over a prompt's samples, of prompts of which the measure says something finite."""
    means = {}
    for key, records in side.rows(part_of(column)).get(column[-2], {}).items():
        values = [value for record in records if (value := measure.value(record, column.display.role)) is not None]
        if values and math.isfinite(mean := sum(map(float, values)) / len(values)):
            means[key] = mean
    return means
