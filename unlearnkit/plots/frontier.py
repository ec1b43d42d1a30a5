"""Unlearn against retention over training steps: `python -m unlearnkit.plots.frontier FOLDER`.

A method's weights and learning rate decide where on its curve a run ends; methods are compared at equal retention, at
steps that were measured and that were chosen on other numbers than those shown.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.identity import config_in
from unlearnkit.measures.display import show_interval, show_value
from unlearnkit.measures.interval import Estimate
from unlearnkit.measures.success import Success
from unlearnkit.tables import Cell, mean_over_seeds
from unlearnkit.tables.reading import SPLIT, VALIDATION, Run, collect, curve_numbers, curves_of
from unlearnkit.tables.variants import name_variants

RATE = Success().display("forget")  # how the numbers are shown
MEASURE = "success"
LEARNING_RATE = "train.arguments.learning_rate"


@dataclass(frozen=True)
class Point:
    """A model after `step` training steps; both in 0 to 1."""

    step: int
    unlearn: float
    retention: float
    questions: int = 100  # a scope

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


def read_curves(run: Run) -> list[Curve]:
    """The curves of Success on both sides that a run measured, one a split; empty where there is none."""
    curves = []
    for split, rows in curves_of(run).items():
        points = []
        for row in rows:
            sides = {c.display.role: e for c, e in curve_numbers(run, row).items() if c[-1] == MEASURE}
            if {"forget", "retain"} <= sides.keys():
                unlearn, retention = sides["forget"], sides["retain"]
                points.append(Point(row["step"], unlearn.value, retention.value, min(unlearn.n, retention.n)))
        if points:
            rate = float(config_in(run.folder)["train"]["arguments"]["learning_rate"])
            curves.append(Curve(f"{run.model} on {run.data}", run.method, rate, run.seed, split, points))
    return curves


def unlearned_at(points: Sequence[Point], retention: float) -> Point | None:
    """The visited point with the most Unlearn Success while Retention Success is at least `retention`; None: no such.

    Nothing is read between two measurements, where no model was.
    """
    return max((point for point in points if point.retention >= retention), key=lambda p: p.unlearn, default=None)


def best_average(points: Sequence[Point]) -> Point | None:
    """The visited point with the highest average of Unlearn and Retention Success."""
    return max(points, key=lambda point: point.average, default=None)


def mean_points(curves: Sequence[Curve]) -> list[Point]:
    """The means over curves at the steps that all of them measured."""
    by_step: dict[int, list[Point]] = {}
    for curve in curves:
        for point in curve.points:
            by_step.setdefault(point.step, []).append(point)
    whole = {step: points for step, points in by_step.items() if len(points) == len(curves)}
    return [
        Point(step, *(sum(getattr(p, side) for p in points) / len(points) for side in ("unlearn", "retention")))
        for step, points in sorted(whole.items())
    ]


def reported(group: Sequence[Curve], choose: Callable[[Sequence[Point]], Point | None]) -> list[Point]:
    """The points at steps that were chosen elsewhere, for a maximum is too good where it was found.

    Curves of the test split are read at the step chosen on the validation curves of all seeds. Where there are none,
    each seed's curve is read at the step chosen on the other seeds'; a seed alone is left out. Only steps that all of
    them measured are chosen from.
    """
    everywhere = set.intersection(*({point.step for point in curve.points} for curve in group))
    validation = [curve for curve in group if curve.split == VALIDATION]
    test = [curve for curve in group if curve.split != VALIDATION]
    points = []
    for curve in test if test and validation else group:
        others = validation if test and validation else [other for other in group if other is not curve]
        chosen = choose([point for point in mean_points(others) if point.step in everywhere]) if others else None
        points += [point for point in curve.points if chosen is not None and point.step == chosen.step]
    return points


def over_seeds(points: Sequence[Point], what: str) -> Cell | None:
    """Mean and interval over seeds; one seed has no interval, none no number."""
    own = [Estimate(getattr(point, what), math.nan, math.nan, point.questions) for point in points]
    return mean_over_seeds(own, RATE.scale) if own else None


def markdown(curves: Sequence[Curve], marks: Sequence[float]) -> str:
    """A row a method and learning rate: the average at the best steps, and Unlearn Success at those for each mark."""
    header = ["method", "learning rate", "seeds", "best average (step)", *(f"retention ≥ {mark:.0%}" for mark in marks)]
    lines = ["| " + " | ".join(header) + " |", "|---|---:|---:|---:|" + "---:|" * len(marks)]
    for group in grouped(curves).values():
        best = reported(group, best_average)
        seeds = len({curve.seed for curve in group})
        cells = [_show(over_seeds(best, "average"), best, seeds)]
        for mark in marks:
            points = reported(group, partial(unlearned_at, retention=mark))
            cells.append(_show(over_seeds(points, "unlearn"), points, seeds))
        first = group[0]
        lines.append(f"| {first.method} | {first.learning_rate:g} | {seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def grouped(curves: Sequence[Curve]) -> dict[tuple[str, float], list[Curve]]:
    """(method, learning rate) -> its curves, one a seed, in the order they come."""
    groups: dict[tuple[str, float], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.method, curve.learning_rate), []).append(curve)
    return groups


def _show(cell: Cell | None, points: Sequence[Point], seeds: int) -> str:
    """The number, the steps that it is of, and of how many seeds where these are not all."""
    if cell is None:
        return "-"
    steps = ", ".join(str(step) for step in sorted({point.step for point in points}))
    steps += f"; {len(points)} of {seeds} seeds" if len(points) < seeds else ""
    return f"{show_value(RATE, cell.value)} {show_interval(RATE, cell.low, cell.high)}".strip() + f" ({steps})"


def page(curves: Sequence[Curve]) -> str:
    """One HTML file: a line a method, learning rate and seed, with the step at each point."""
    import plotly.graph_objects as go

    figure, splits = go.Figure(), ", ".join(sorted({curve.split for curve in curves}))
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
        title=f"Unlearn against Retention Success over training steps ({splits}); up and right is better",
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
    runs = name_variants([run for run in collect(options.folder) if read_curves(run)], ignored=(SPLIT, LEARNING_RATE))
    curves = [curve for run in runs for curve in read_curves(run)]
    if not curves:
        raise UserError(
            f"No run below {options.folder} has a curve of Unlearn and Retention Success",
            "Run with data that has scopes (eval=scopes) and eval_every= a number of steps",
        )
    kinds = sorted({curve.subject for curve in curves})
    if len(kinds) > 1:
        raise UserError(f"The curves are not of one kind: {'; '.join(kinds)}", "Give a folder with one of them")
    splits = {curve.split for curve in curves}
    if VALIDATION in splits and len(splits) > 1:
        how = f"{min(splits - {VALIDATION})} split at the steps chosen on the validation split"
    else:
        how = f"{min(splits)} split, each seed at the step chosen on the other seeds (-: there are none)"
    print(f"Success, {kinds[0]}, {how}: mean over seeds with its 95 % interval, steps in parentheses.\n")
    print(markdown(curves, options.retention))
    if options.html:
        write(options.html, page(curves))
        print(f"\nFigure: {options.html}")


if __name__ == "__main__":
    configuration.exit_with_two_lines(main)
