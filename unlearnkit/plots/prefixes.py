"""With and without a text before the question: Tian et al. 2024, finding 2 and figure 5."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import arrow
from unlearnkit.plots.curves import drawable
from unlearnkit.plots.style import headed, methods_of, name_of, new
from unlearnkit.tables import ORIGINAL, Cell, aggregate
from unlearnkit.tables.reading import Run
from unlearnkit.tables.variants import base

ATTACK = "system"
SIDES = (("without prefix", "#0072b2", ""), ("with prefix", "#e69f00", "//"))


def prefixes(runs: Sequence[Run], spec: Mapping[str, Any] | None = None) -> Figure:
    """A panel a metric, a pair of bars a method: the mean over seeds with its 95 % interval.

    Raises:
        UserError: no run measured a set with its prefix.
    """
    spec = spec or {}
    tables = aggregate(runs, methods_of(runs, spec)) if runs else []
    columns = {column: without(column) for table in tables for column in table.columns}
    pairs = [(plain, prefixed) for prefixed, plain in columns.items() if plain in columns]
    if not pairs:
        raise UserError("No run there was measured with a prefix", "Run with '+attack=[system]'")
    methods = spec.get("rows") or set(map(base, tables[0].rows))
    rows = [row for row in tables[0].rows if base(row) in methods and (row != ORIGINAL or ORIGINAL in methods)]
    figure = new(max(4.0, 0.45 * len(rows) + 1.6) * len(pairs), 4.2)
    at = np.arange(len(rows))
    for place, pair in enumerate(pairs, start=1):
        axes = figure.add_subplot(1, len(pairs), place)
        unit = 100.0 if pair[0].display.rate else 1.0
        for number, (column, (name, colour, hatch)) in enumerate(zip(pair, SIDES, strict=True)):
            cells = [tables[0].rows[row].get(column) for row in rows]
            values = drawable(unit * cell.value if cell else math.nan for cell in cells)
            errors = np.array([around(cell, unit) for cell in cells]).T
            axes.bar(at + 0.4 * number, values, 0.4, yerr=errors, capsize=2, color=colour, hatch=hatch, label=name)
        axes.set_xticks(at + 0.2, [name_of(row, spec) for row in rows], rotation=40, ha="right")
        title = pair[0][-1].replace("_", " ")
        axes.set(ylabel=f"{title} {arrow(pair[0].display)}{' (%)' if unit != 1 else ''}")
        if unit != 1:
            axes.set_ylim(0, 105)
    headed(figure, runs)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def without(column: Column) -> Column:
    """The same measure without the words; an empty column where there are none."""
    return Column(column[1:], column.display) if column[0] == ATTACK else Column(())


def around(cell: Cell | None, unit: float) -> tuple[float, float]:
    """How far the interval goes below and above the value; 0 where there is none."""
    if cell is None or not all(map(math.isfinite, (cell.value, cell.low, cell.high))):
        return 0.0, 0.0
    return unit * max(0.0, cell.value - cell.low), unit * max(0.0, cell.high - cell.value)
