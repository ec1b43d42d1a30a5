"""What was measured over training steps, as means over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import LARGEST
from unlearnkit.tables import mean_over_seeds
from unlearnkit.tables.reading import Run, points_of


@dataclass(frozen=True)
class Line:
    """Steps with the mean over runs at each and its 95 % interval, in the printed unit (percent for rates)."""

    steps: list[int]
    values: list[float]
    lows: list[float]
    highs: list[float]


def columns_in(runs: Iterable[Run]) -> list[Column]:
    """Every column that a curve has."""
    return list(dict.fromkeys(column for run in runs for column in points_of(run)))


def line_of(runs: Sequence[Run], column: Column) -> Line | None:
    """The mean over runs at the steps that all of them measured; None where no run has the column."""
    curves = [points for run in runs if (points := points_of(run).get(column))]
    if not curves:
        return None
    steps = sorted(set.intersection(*(set(points) for points in curves)))
    unit = 100.0 if column.display.rate else 1.0
    cells = [mean_over_seeds([points[step] for points in curves], column.display.scale) for step in steps]
    parts = ([unit * getattr(cell, key) for cell in cells] for key in ("value", "low", "high"))
    return Line(steps, *parts)


def drawable(values: Iterable[float]) -> list[float]:
    """What is past 1e10 is drawn at 1e10; NaN is a gap."""
    return [value if math.isnan(value) else max(-LARGEST, min(LARGEST, value)) for value in values]


def cut(values: Iterable[float]) -> str:
    """A word for the axis where `drawable` has cut something off."""
    return ", cut at 10¹⁰" if any(abs(value) > LARGEST for value in values) else ""


def spans_decades(values: Iterable[float]) -> bool:
    """Whether a logarithmic axis shows these better: all above zero, three decades apart."""
    known = [value for value in values if not math.isnan(value)]
    return bool(known) and min(known) > 0 and max(known) / min(known) > 1000
