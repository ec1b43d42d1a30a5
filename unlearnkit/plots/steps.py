"""Measurements against training steps: Liu et al. 2024, figures 3 to 6; Tian et al. 2024, figure 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import arrow
from unlearnkit.plots.curves import Line, columns_in, cut, drawable, line_of, spans_decades
from unlearnkit.plots.style import headed, looks, methods_of, name_of, new
from unlearnkit.tables import published
from unlearnkit.tables.reading import Run
from unlearnkit.tables.variants import base


def steps(runs: Sequence[Run], spec: Mapping[str, Any] | None = None) -> Figure:
    """A panel a column, a line a method: the mean over seeds with its 95 % interval as a band.

    The columns are the sweep's, of those that were measured during training. Hollow markers are what the paper's text
    says of its figure (`curves`); where the paper trained for more steps, the upper axis counts its steps.

    Raises:
        UserError: no run has a curve.
    """
    spec = spec or {}
    panels = panels_of(runs, spec)
    methods = methods_of(runs, spec)
    if not panels or not methods:
        raise UserError("No run there has curves over training steps", "Run with eval_every= a number of steps")
    across = min(len(panels), 3 if len(panels) in (3, 5, 6) else 2)
    down = -(-len(panels) // across)
    figure = new(4.2 * across, 3.3 * down + 0.5)
    keys = {published.column(key): key for key in spec.get("columns") or {}}
    style, handles, marked = looks(methods), {}, False
    for place, (column, title) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        lines = {m: line for m in methods if (line := line_of([r for r in runs if r.method == m], column))}
        for method, line in lines.items():
            handles[name_of(method, spec)] = draw_line(axes, line, style[method])
        drawn = [value for line in lines.values() for value in drawable(line.values)]
        paper = {m: (spec.get("curves") or {}).get(base(m), {}).get(keys.get(column, ""), {}) for m in methods}
        points = mark_paper(
            axes, paper, style, max((line.steps[-1] for line in lines.values() if line.steps), default=0)
        )
        drawn, marked = drawn + points, marked or bool(points)
        if spans_decades(drawn):
            axes.set_yscale("log")
        unit = " (%)" if column.display.rate else cut(v for line in lines.values() for v in line.values)
        if unit == " (%)":
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, -5), min(high, 105))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="training steps", ylabel=f"{title} {arrow(column.display)}{unit}")
    if marked:
        whose = f" ({spec['curves_of']})" if spec.get("curves_of") else ""
        mark = Line2D([], [], marker="o", color="black", markerfacecolor="none", linestyle="")
        handles[f"the paper's text{whose}"] = mark
    headed(figure, runs)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False)
    return figure


def panels_of(runs: Sequence[Run], spec: Mapping[str, Any]) -> dict[Column, str]:
    """column -> its title, of the columns that curves have."""
    measured = columns_in(runs)
    titles = {published.column(key): str(title) for key, title in (spec.get("columns") or {}).items()}
    return {c: titles[c] for c in titles if c in measured} if titles else {c: " ".join(c[1:]) for c in measured}


def draw_line(axes: Axes, line: Line, style: dict[str, Any]) -> Any:
    (drawn,) = axes.plot(line.steps, drawable(line.values), **style)
    axes.fill_between(
        line.steps, drawable(line.lows), drawable(line.highs), color=style["color"], alpha=0.15, linewidth=0
    )
    return drawn


def mark_paper(
    axes: Axes, paper: Mapping[str, Mapping[Any, float]], style: Mapping[str, dict[str, Any]], last: int
) -> list[float]:
    """Hollow markers where the paper's text gives a value, on our scale of steps; returns the values."""
    theirs = max((int(step) for points in paper.values() for step in points), default=0)
    if not theirs:
        return []
    scale = last / theirs if last and last < theirs else 1.0
    for method, points in paper.items():
        if not points:
            continue
        at = [scale * int(step) for step in points]
        axes.plot(at, list(points.values()), **{**style[method], "markerfacecolor": "none", "markersize": 7, "ls": ""})
    if scale != 1:
        upper = axes.secondary_xaxis("top", functions=(partial(np.multiply, 1 / scale), partial(np.multiply, scale)))
        upper.set_xlabel("steps in the paper", fontsize="small")
        upper.tick_params(labelsize="small")
    return [value for points in paper.values() for value in points.values()]
