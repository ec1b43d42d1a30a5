"""Unlearn against retention over training steps: `python -m unlearnkit.plots.frontier FOLDER`.

A method's weights and learning rate decide where on its curve a run ends; methods are compared at equal retention.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.metrics.display import show_interval, show_value
from unlearnkit.metrics.interval import Estimate
from unlearnkit.runs.reading import Run, collect
from unlearnkit.tables import Cell, mean_over_seeds

UNLEARN, RETENTION = ("unlearn", "unlearn_success"), ("retention", "retention_success")
RATE = "unlearn_success"  # how the numbers are shown


@dataclass(frozen=True)
class Point:
    """A model after `step` training steps; both in 0 to 1."""

    step: int
    unlearn: float
    retention: float

    @property
    def average(self) -> float:
        return (self.unlearn + self.retention) / 2


@dataclass(frozen=True)
class Curve:
    """The points of one run, step 0 first."""

    subject: str  # model and data
    method: str
    learning_rate: float
    seed: int
    split: str
    points: list[Point]


def read_curve(run: Run) -> Curve | None:
    """The curve that a run measured with eval=scopes; None where there is none."""
    points = []
    for row in run.raw.get("curve", []):
        sets = row["metrics"].get("scopes", {})
        unlearn, retention = (sets.get(name, {}).get(metric) for name, metric in (UNLEARN, RETENTION))
        if unlearn and retention:
            points.append(Point(row["step"], unlearn["value"], retention["value"]))
    if not points:
        return None
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    rate = float(config["train"]["arguments"]["learning_rate"])
    return Curve(f"{run.model} on {run.data}", run.method, rate, run.seed, config["curve_split"], points)


def unlearned_at(points: Sequence[Point], retention: float) -> float:
    """The most Unlearn Success reached while Retention Success is at least `retention`.

    Straight lines join the points, so that a curve that falls past the mark between two measurements is read there.
    NaN if retention is below the mark from the start.
    """
    best = max((point.unlearn for point in points if point.retention >= retention), default=math.nan)
    for first, second in zip(points, points[1:], strict=False):
        if (first.retention >= retention) != (second.retention >= retention):
            share = (retention - first.retention) / (second.retention - first.retention)
            crossing = first.unlearn + share * (second.unlearn - first.unlearn)
            best = crossing if math.isnan(best) else max(best, crossing)
    return best


def best_step(curves: Sequence[Curve]) -> int:
    """The step with the highest average of Unlearn and Retention Success, meaned over the curves."""
    steps = sorted(set.intersection(*({point.step for point in curve.points} for curve in curves)))
    means = {
        step: sum(point.average for curve in curves for point in curve.points if point.step == step) for step in steps
    }
    return max(means, key=lambda step: means[step])


def over_seeds(values: Sequence[float]) -> Cell:
    """Mean and interval over seeds; one seed has no interval."""
    return mean_over_seeds([Estimate(value, math.nan, math.nan, 1) for value in values], RATE)


def markdown(curves: Sequence[Curve], marks: Sequence[float]) -> str:
    """A row a method and learning rate: the best average and its step, and Unlearn Success at each retention."""
    header = ["method", "learning rate", "seeds", "best average (step)", *(f"retention ≥ {mark:.0%}" for mark in marks)]
    lines = ["| " + " | ".join(header) + " |", "|---|---:|---:|---:|" + "---:|" * len(marks)]
    for group in grouped(curves).values():
        step = best_step(group)
        averages = [point.average for curve in group for point in curve.points if point.step == step]
        cells = [f"{_show(over_seeds(averages))} ({step})"]
        cells += [_show(over_seeds([unlearned_at(curve.points, mark) for curve in group])) for mark in marks]
        first = group[0]
        lines.append(f"| {first.method} | {first.learning_rate:g} | {len(group)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def grouped(curves: Sequence[Curve]) -> dict[tuple[str, float], list[Curve]]:
    """(method, learning rate) -> its curves, one a seed, in the order they come."""
    groups: dict[tuple[str, float], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.method, curve.learning_rate), []).append(curve)
    return groups


def _show(cell: Cell) -> str:
    return f"{show_value(RATE, cell.value)} {show_interval(RATE, cell.low, cell.high)}".strip()


def page(curves: Sequence[Curve]) -> str:
    """One HTML file: a line a method, learning rate and seed, with the step at each point."""
    import plotly.graph_objects as go

    figure = go.Figure()
    palette = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
    for number, ((method, rate), group) in enumerate(grouped(curves).items()):
        for place, curve in enumerate(group):
            figure.add_scatter(
                x=[point.retention for point in curve.points],
                y=[point.unlearn for point in curve.points],
                text=[f"{method} {rate:g}, seed {curve.seed}, step {point.step}" for point in curve.points],
                mode="lines+markers",
                name=f"{method} {rate:g}",
                legendgroup=f"{method} {rate:g}",
                showlegend=place == 0,
                line={
                    "color": palette[number % len(palette)],
                    "dash": ("solid", "dash", "dot")[number // len(palette) % 3],
                },
                hovertemplate="%{text}<br>retention %{x:.1%}, unlearn %{y:.1%}<extra></extra>",
            )
    figure.update_layout(
        title=f"Unlearn against Retention Success over training steps ({curves[0].split}); up and right is better",
        xaxis={"title": "Retention Success", "tickformat": ".0%", "range": [0, 1.02]},
        yaxis={"title": "Unlearn Success", "tickformat": ".0%", "range": [0, 1.02]},
        template="plotly_white",
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.plots.frontier", description=__doc__)
    parser.add_argument("folder", type=Path, help="a run's folder, or one with several runs below it")
    parser.add_argument("--retention", type=float, nargs="+", default=[0.9, 0.8, 0.7], help="marks, in 0 to 1")
    parser.add_argument("--html", type=Path, help="write the figure to this file")
    options = parser.parse_args(argv)
    curves = [curve for run in collect(options.folder) if (curve := read_curve(run))]
    if not curves:
        raise UserError(
            f"No run below {options.folder} has a curve of Unlearn and Retention Success",
            "Run with data that has scopes (eval=scopes) and eval_every= a number of steps",
        )
    kinds = sorted({f"{curve.subject}, {curve.split} split" for curve in curves})
    if len(kinds) > 1:
        raise UserError(f"The curves are not of one kind: {'; '.join(kinds)}", "Give a folder with one of them")
    print(f"Unlearn Success, {curves[0].subject}, {curves[0].split} split: mean over seeds with its 95 % t-interval.\n")
    print(markdown(curves, options.retention))
    if options.html:
        write(options.html, page(curves))
        print(f"\nFigure: {options.html}")


if __name__ == "__main__":
    configuration.exit_with_two_lines(main)
