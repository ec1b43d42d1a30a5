"""Plotly figures as JSON values: lines with bands, and heat maps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlearnkit.measures.display import Display, show_interval, show_value

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito (2008)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # so that colour is not alone


@dataclass(frozen=True)
class Point:
    """A value over a step with its interval; a bound that is not finite is not drawn."""

    step: float
    value: float
    low: float = math.nan
    high: float = math.nan


def thinned(rows: Sequence[Any], most: int) -> Sequence[Any]:
    """At most `most` rows, evenly taken, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def finite(value: Any) -> float | None:
    """JSON for a browser knows no NaN and no Infinity: a finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def lines(
    title: str,
    points: Mapping[str, Sequence[Point]],
    display: Display | None = None,
    chosen: int | None = None,
    x: str = "step",
) -> dict[str, Any]:
    """Named lines over steps, each with its interval as a band; logarithmic where they span three decades.

    Args:
        x: what else they are over.
        chosen: the step that a run goes on from, marked by a dotted line.
    """
    display = display or Display()
    traces: list[dict[str, Any]] = []
    values = [point.value for whole in points.values() for point in whole if finite(point.value) is not None]
    log = bool(values) and min(values) > 0 and max(values) / min(values) > 1000
    lowest = 0 if log else -math.inf  # a logarithmic axis has no place for a bound below it
    for index, (name, whole) in enumerate(points.items()):
        drawn = [point for point in whole if finite(point.value) is not None]
        banded = [p for p in drawn if None not in (finite(p.low), finite(p.high)) and p.low > lowest]
        if banded:
            traces.append(_band(name, banded, index))
        hover = [f"{show_value(display, p.value)} {show_interval(display, p.low, p.high)}".strip() for p in drawn]
        dash = (index + index // len(COLOURS)) % len(DASHES)  # the seventh line shares its colour, not its dash
        traces.append(
            {
                "x": [point.step for point in drawn],
                "y": [point.value for point in drawn],
                "name": name,
                "legendgroup": name,
                "line": {"color": COLOURS[index % len(COLOURS)], "dash": DASHES[dash], "width": 2},
                "mode": "lines+markers" if len(drawn) <= 40 else "lines",
                "customdata": hover,
                "hovertemplate": "%{customdata}",
            }
        )
    axis: dict[str, Any] = {"tickformat": ".0%"} if display.rate else {}
    if log:
        axis |= {"type": "log", "exponentformat": "power"}
    layout = {
        "xaxis": {"title": {"text": x, "standoff": 4}},
        "yaxis": axis,
        "margin": {"l": 52, "r": 10, "t": 8, "b": 40},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        "showlegend": True,
        "hovermode": "x unified",
    }
    if chosen is not None:
        mark = {"type": "line", "x0": chosen, "x1": chosen, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [{**mark, "line": {"color": "#888888", "width": 1, "dash": "dot"}}]
    return _figure(title, traces, layout, sum(map(len, points.values())) - len(values))


def _band(name: str, points: Sequence[Point], index: int) -> dict[str, Any]:
    colour = COLOURS[index % len(COLOURS)]
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    steps = [point.step for point in points]
    return {
        "x": steps + steps[::-1],
        "y": [point.high for point in points] + [point.low for point in reversed(points)],
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.18)",
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
    }


def heat_map(title: str, rows: Mapping[str, Sequence[tuple[float, str]]], x: str, value: str) -> dict[str, Any]:
    """A heat map of scores from -1 to 1: a row a name, from the top down; a cell its value and hover text."""
    names = list(rows)[::-1]  # plotly draws the first row at the bottom
    values = [[finite(number) for number, _ in rows[name]] for name in names]
    width = max(map(len, values), default=0)
    trace = {
        "type": "heatmap",
        "x": list(range(width)),
        "y": [name.replace("_and_", "<br>and_").replace("_", " ") for name in names],
        "z": values,
        "customdata": [[text for _, text in rows[name]] for name in names],
        "hovertemplate": f"%{{y}}<br>{x} %{{x}}<br>{value} %{{customdata}}<extra></extra>",
        "colorscale": "RdBu",
        "reversescale": True,
        "zmin": -1,  # the same in every map, so that they compare
        "zmax": 1,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"orientation": "h", "thickness": 10, "y": -0.34, "title": {"text": value, "side": "right"}},
    }
    layout = {
        "xaxis": {
            "title": {"text": x, "standoff": 4},
            "showgrid": False,
            "zeroline": False,
            "dtick": max(1, width // 6),
        },
        "yaxis": {"showgrid": False, "tickfont": {"size": 11}},
        "margin": {"l": 10, "r": 10, "t": 8, "b": 90},
        "hovermode": "closest",
    }
    return _figure(title, [trace], layout, sum(number is None for row in values for number in row))


def _figure(title: str, traces: list[dict[str, Any]], layout: dict[str, Any], skipped: int) -> dict[str, Any]:
    import plotly.graph_objects as go  # half a second, only where there is a figure

    drawn = json.loads(go.Figure(traces, {"template": "none", **layout}).to_json())
    return {"title": title, "skipped": skipped, "data": drawn["data"], "layout": drawn["layout"]}
