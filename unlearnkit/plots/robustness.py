"""Forgetting before and after the worst attack, a method, beside the model that never knew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import Display, arrow, display_from
from unlearnkit.measures.interval import Estimate
from unlearnkit.plots.prefixes import around
from unlearnkit.plots.style import headed, methods_of, name_of, new
from unlearnkit.tables import Cell
from unlearnkit.tables.aggregate import mean_over_seeds
from unlearnkit.tables.reading import Run

SIDES = (("unlearned", "unlearned", "#0072b2", ""), ("attacked", "under its worst attack", "#e69f00", "//"))
LINES = (("start", "start", "#000000", ":"), ("never_knew", "never knew", "#009e73", "--"))


@dataclass(frozen=True)
class Worst:
    """The attack of a run that brings most back on one half of its prompts, and what stands on the other half.

    Args:
        values: model -> its number there.
    """

    attack: str
    values: Mapping[str, float]
    n: int


def worst_of(run: Run, place: Sequence[str], without: str = "") -> Worst | None:
    """None where no attack was measured at that place on both halves.

    Args:
        place: evaluation, set and measure.
        without: attacks that are none of an outsider's, as a pattern of their names.
    """
    candidates: list[tuple[float, Worst]] = []
    for attack, recovery in run.raw.get("recovered", {}).items():
        row = recovery["shares"]
        for part in place:
            row = row.get(part, {})
        halves = row.get("halves")
        if not halves or fnmatch(attack, without):
            continue
        first, second = ({model: values[half] for model, values in halves.items()} for half in (0, 1))
        back = (first["attacked"] - first["unlearned"]) * np.sign(first["start"] - first["unlearned"])
        if math.isfinite(back):
            candidates.append((float(back), Worst(attack, second, row["n"] // 2)))
    return max(candidates, key=lambda pair: pair[0])[1] if candidates else None


def robustness(runs: Sequence[Run], spec: Mapping[str, Any] | None = None) -> Figure:
    """A pair of bars a method, and lines for the start and the model that never knew; the worst attack's name above.

    What is drawn is the mean over seeds, over the prompts that the worst attack was not chosen on.

    Raises:
        UserError: no run was attacked, or none at the place that the sweep asks for.
    """
    worst_spec = dict((spec or {}).get("worst") or {})
    place = str(worst_spec["of"]).split("/") if "of" in worst_spec else _first_place(runs)
    by_method = {
        method: [
            worst
            for run in runs
            if run.method == method and (worst := worst_of(run, place, str(worst_spec.get("without", ""))))
        ]
        for method in methods_of(runs, spec or {})
    }
    rows = {method: own for method, own in by_method.items() if own}
    if not rows:
        raise UserError(
            f"No run there was attacked and measured at {'/'.join(place) or 'any place'}", "Run with '+attack=[prune]'"
        )
    display = _display(runs, place)
    unit, at = 100.0 if display.rate else 1.0, np.arange(len(rows))
    figure = new(max(5.0, 0.5 * len(rows) + 2.4), 4.6)
    axes = figure.add_subplot()
    for number, (model, name, colour, hatch) in enumerate(SIDES):
        cells = [_over_seeds(own, model, display) for own in rows.values()]
        errors = np.array([around(cell, unit) for cell in cells]).T
        heights = [unit * cell.value if cell else 0.0 for cell in cells]
        axes.bar(at + 0.4 * number, heights, 0.4, yerr=errors, capsize=2, color=colour, hatch=hatch, label=name)
    for model, name, colour, style in LINES:
        everywhere = _over_seeds([worst for own in rows.values() for worst in own], model, display)
        if everywhere:
            axes.axhline(unit * everywhere.value, color=colour, linestyle=style, linewidth=1, label=name)
    taught = [_over_seeds(own, "never_knew_attacked", display) for own in rows.values()]
    if any(taught):
        places = [(x, unit * cell.value) for x, cell in zip(at + 0.4, taught, strict=True) if cell]
        axes.plot(*zip(*places, strict=True), "D", color=LINES[1][2], markersize=4, label="never knew, attacked alike")
    for x, own in zip(at, rows.values(), strict=True):
        names = ", ".join(dict.fromkeys(worst.attack for worst in own))
        axes.annotate(names, (x + 0.2, 1.0), xycoords=("data", "axes fraction"), rotation=60, fontsize="x-small")
    axes.set_xticks(at + 0.2, [name_of(row, spec or {}) for row in rows], rotation=40, ha="right")
    axes.set_ylabel(f"{place[1]}: {place[-1].replace('_', ' ')} {arrow(display)}{' (%)' if unit != 1 else ''}")
    headed(figure, runs)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _over_seeds(cases: Sequence[Worst], model: str, display: Display) -> Cell | None:
    numbers = [Estimate(worst.values[model], math.nan, math.nan, worst.n) for worst in cases if model in worst.values]
    return mean_over_seeds(numbers, display.scale) if numbers else None


def _places(runs: Sequence[Run]) -> Iterator[list[str]]:
    for run in runs:
        for recovery in run.raw.get("recovered", {}).values():
            for evaluation, sets in recovery["shares"].items():
                for set_name, measures in sets.items():
                    yield from ([evaluation, set_name, measure] for measure in measures)


def _first_place(runs: Sequence[Run]) -> list[str]:
    return next(_places(runs), [])


def _display(runs: Sequence[Run], place: Sequence[str]) -> Display:
    row = next((own for run in runs if (own := run.raw.get("columns", {}).get("/".join(place)))), None)
    return display_from(row) if row else Column(place).display
