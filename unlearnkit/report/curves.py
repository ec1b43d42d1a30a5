"""The curves and heat maps of runs: training losses, metrics over training steps, KRS by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unlearnkit.measures.columns import INSIDE, Column, flatten
from unlearnkit.measures.display import Display, arrow, only_in_figures, show_interval, show_value, usual
from unlearnkit.measures.interval import Estimate
from unlearnkit.measures.seeds import Scale
from unlearnkit.report.figures import Point, heat_map, lines, thinned
from unlearnkit.tables import mean_over_seeds
from unlearnkit.tables.reading import Run, curve_numbers, points_of

MOST_POINTS = 1000  # of a training curve; of a measured one, which has a band and words to each point, a quarter


def training_figures(log: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One figure a stage of one run: the loss and each of its terms over steps."""
    for stage in dict.fromkeys(str(row.get("stage", "")) for row in log):
        rows = thinned([row for row in log if str(row.get("stage", "")) == stage], MOST_POINTS)
        names = dict.fromkeys(key for row in rows for key in row)
        keys = [key for key in names if key == "loss" or key.startswith("terms/")]
        points = {
            "loss (weighted sum)" if key == "loss" else key.removeprefix("terms/"): [
                Point(row.get("step", 0), row[key]) for row in rows if key in row
            ]
            for key in keys
        }
        if points:
            yield lines(f"training losses, stage {stage}", points)


def evaluation_figures(run: Run) -> Iterator[dict[str, Any]]:
    """One figure a stage, evaluation and measure of one run: a line a set, its interval as a band."""
    figures: dict[tuple[str, Column, str], dict[str, list[Point]]] = {}
    shown: dict[tuple[str, Column, str], Display] = {}
    for stage, step, column, entry in measured(run):
        key = (stage, Column(column[:-2]), column[-1])
        better = {column.display.better, shown[key].better} if key in shown else {column.display.better}
        shown[key] = column.display if len(better) == 1 else replace(column.display, better=None)
        point = Point(step, entry.value, entry.low, entry.high)
        figures.setdefault(key, {}).setdefault("/".join(column[-2:-1]), []).append(point)
    for (stage, evaluation, measure), sets in figures.items():
        display = shown[stage, evaluation, measure]
        title = f"{measure} {arrow(display)} ({'/'.join((*evaluation, f'stage {stage}'))})"
        chosen = (run.raw.get("chosen") or {}).get(stage, {}).get("step")
        drawn = {name: thinned(line, MOST_POINTS // 4) for name, line in sets.items()}
        yield lines(title, drawn, display, chosen=chosen)


def measured(run: Run) -> Iterator[tuple[str, int, Column, Estimate]]:
    """(stage, step, column, estimate) of each point of a run's curve; a probe's layers are left out."""
    for row in run.raw.get("curve") or []:
        for column, entry in curve_numbers(run, row).items():
            if not only_in_figures(column[-1]):
                yield str(row["stage"]), row["step"], column, entry


def sweep_figures(methods: Mapping[str, Sequence[Run]], columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """One figure a column: a line a method over training steps, the mean over seeds with its 95 % interval.

    Args:
        methods: title -> its runs on one model and data set that differ in their seeds alone. The steps of a later
            stage go on counting from those of the stage before. A step that not all of them measured is left out.
        columns: which come first, in this order; the others that were measured follow.
    """
    figures: dict[Column, dict[str, dict[int, list[Estimate]]]] = {column: {} for column in columns}
    for method, runs in methods.items():
        for run in runs:
            for column, own in points_of(run).items():
                if not only_in_figures(column[-1]):
                    for step, entry in own.items():
                        figures.setdefault(column, {}).setdefault(method, {}).setdefault(step, []).append(entry)
    for column, by_method in figures.items():
        whole = {method: over_seeds(of_all(steps), column.display.scale) for method, steps in by_method.items()}
        points = {method: thinned(line, MOST_POINTS // 4) for method, line in whole.items()}
        if any(len(line) > 1 for line in points.values()):
            title = f"{column[-1]} {arrow(column.display)} ({'/'.join(column[:-1])})"
            yield lines(title, points, column.display)


def loss_figures(logs: Mapping[str, Sequence[Sequence[dict[str, Any]]]]) -> Iterator[dict[str, Any]]:
    """One figure: the training loss over steps, a line a method and stage, the mean over its seeds' logs."""
    points: dict[str, list[Point]] = {}
    for method, seeds in logs.items():
        steps: dict[tuple[str, int], list[Estimate]] = {}
        for row in (row for log in seeds for row in log if "loss" in row):
            estimate = Estimate(float(row["loss"]), math.nan, math.nan, 1)
            steps.setdefault((str(row.get("stage", "")), row.get("step", 0)), []).append(estimate)
        stages = dict.fromkeys(stage for stage, _ in steps)
        for stage in stages:
            name = f"{method}, {stage}" if len(stages) > 1 else method
            own = {step: values for (of, step), values in steps.items() if of == stage}
            line = over_seeds(of_all(own), Scale())
            points[name] = list(thinned(line, MOST_POINTS // 4))
    if points:
        yield lines("training loss (weighted sum)", points)


def of_all(steps: Mapping[int, Sequence[Estimate]]) -> dict[int, Sequence[Estimate]]:
    """The steps that as many seeds have as any has: a mean over other seeds at each step would jump between them."""
    most = max(map(len, steps.values()), default=0)
    return {step: values for step, values in steps.items() if len(values) == most}


def over_seeds(steps: Mapping[int, Sequence[Estimate]], scale: Scale) -> list[Point]:
    """The mean at each step; its interval is over seeds, or one run's own where there is one."""
    cells = {step: mean_over_seeds(values, scale) for step, values in sorted(steps.items())}
    return [Point(step, cell.value, cell.low, cell.high) for step, cell in cells.items()]


def heat_maps(methods: Mapping[str, Sequence[Run]]) -> Iterator[dict[str, Any]]:
    """One figure a method and probe: its score by what is restored and layer, the mean over seeds."""
    for method, runs in methods.items():
        probes: dict[str, dict[str, dict[str, list[Estimate]]]] = {}
        for run in runs:
            for column, entry in run.after.items():
                if len(column) == 3 and only_in_figures(column[-1]):
                    rows = probes.setdefault(column[0], {}).setdefault(column[1], {})
                    rows.setdefault(column[-1], []).append(entry)
        for probe, settings in probes.items():
            cells = {name: [_cell(layers[key]) for key in sorted(layers)] for name, layers in settings.items()}
            yield heat_map(f"{probe.upper()} by layer and what is restored, {method}", cells, "layer", probe.upper())


def inside_figures(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One figure an attack and set that it has looked at: its number by layer, a line a model."""
    moments = {moment["name"]: moment["numbers"] for moment in metrics.get("moments", ())}
    for attack in metrics.get("recovered", {}):
        sets: dict[str, dict[str, list[Point]]] = {}
        for model, name in (("start", "/start"), ("unlearned", ""), ("never knew", "/never_knew")):
            for column, e in flatten(moments.get(attack + name)).items():
                if column[0] == INSIDE and only_in_figures(column[-1]):
                    place = int(column[-1].removeprefix("layer_"))
                    line = sets.setdefault(column[1], {}).setdefault(model, [])
                    line.append(Point(place, e.value, e.low, e.high))
        for set_name, points in sets.items():
            yield lines(f"{attack} by layer ({set_name})", points, x="layer")


def _cell(entries: Sequence[Estimate]) -> tuple[float, str]:
    display = usual("peak")
    cell = mean_over_seeds(entries, display.scale)
    shown = f"{show_value(display, cell.value)} {show_interval(display, cell.low, cell.high)}".strip()
    return cell.value, shown
