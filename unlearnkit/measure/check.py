"""How good the measures themselves are: `python -m unlearnkit.measure --check RUNS`, from what runs have measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, harmonic_mean
from typing import Any

from rich.console import Console
from rich.table import Table

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column, flatten
from unlearnkit.measures.display import Display, only_in_figures
from unlearnkit.tables.reading import Run, collect

RELEARN, QUANTISE = "relearn", "quantise_4"  # the attacks of these names
NOTHING = 1e-8


@dataclass(frozen=True)
class Quality:
    """One measure of what is to be forgotten (Dorna et al. 2025, arXiv 2506.12618, section 4).

    All is computed of a measure's knowledge: its number where less of it is better, 1 less it where more of a share
    is, and 1 over it for perplexities. None is what the runs do not say.

    Args:
        faithfulness: AUC between models that have the knowledge and models that never had it.
        relearning: R = (never knew: after - before) / (unlearned: after - before), within 0 and 1; a mean over runs.
        quantisation: Q = after / before, within 0 and 1; a mean over runs.
        counts: models that know, models that never knew, runs relearnt, runs quantised.
    """

    place: str
    faithfulness: float | None
    relearning: float | None
    quantisation: float | None
    counts: tuple[int, int, int, int]

    @property
    def robustness(self) -> float | None:
        """The harmonic mean of R and Q."""
        return _both(self.relearning, self.quantisation)

    @property
    def overall(self) -> float | None:
        """The harmonic mean of faithfulness and robustness."""
        return _both(self.faithfulness, self.robustness)


def qualities(runs: Sequence[Run]) -> list[Quality]:
    """Every measure on the forget side of the runs that say what a start or a model that never knew has of it.

    A start and a control count once for a model, data and seed. Their filter of models that measure as insufficiently
    unlearned is not made.
    """
    displays: dict[str, Display] = {}
    know: dict[str, dict[Any, float]] = {}
    never: dict[str, dict[Any, float]] = {}
    relearnt: dict[str, list[float]] = {}
    quantised: dict[str, list[float]] = {}
    for run in runs:
        of = (run.model, run.data, run.seed)
        for pool, moment in ((know, "start"), (never, "never_knew")):
            for column, value in _numbers(run, moment):
                displays.setdefault("/".join(column), column.display)
                pool.setdefault("/".join(column), {}).setdefault(of, value)
        for place, shares in _recovered(run, RELEARN, displays):
            names = ("unlearned", "attacked", "never_knew", "never_knew_attacked")
            if all(name in shares for name in names):
                before, after, before_never, after_never = (shares[name] for name in names)
                if abs(after - before) > NOTHING:
                    relearnt.setdefault(place, []).append(_within((after_never - before_never) / (after - before)))
        for place, shares in _recovered(run, QUANTISE, displays):
            before, after = shares["unlearned"], shares["attacked"]
            quantised.setdefault(place, []).append(1.0 if abs(before) < NOTHING else _within(after / before))
    rows = []
    for place in displays:
        pools = [list(pool.get(place, {}).values()) for pool in (know, never)]
        rates = [values.get(place, []) for values in (relearnt, quantised)]
        r, q = (fmean(values) if values else None for values in rates)
        counts = (len(pools[0]), len(pools[1]), len(rates[0]), len(rates[1]))
        rows.append(Quality(place, auc(*pools), r, q, counts))
    return rows


def auc(know: Sequence[float], never: Sequence[float]) -> float | None:
    """The share of pairs in which the model that knows has more of the knowledge; a tie is half a pair."""
    if not know or not never:
        return None
    pairs = [(one > other) + 0.5 * (one == other) for one in know for other in never]
    return fmean(pairs)


def knowledge(value: float, display: Display) -> float | None:
    """How much is known, by a measure's number on the forget side; None where its scale does not say it."""
    if display.better == "lower":
        return value
    if display.scale.geometric:
        return 1 / value if value > 0 else None
    return display.scale.high - value if math.isfinite(display.scale.high) else None


def check(folders: Sequence[Path]) -> None:
    """Print the table of the runs in folders.

    Raises:
        UserError: no run, or none that measures what is to be forgotten.
    """
    rows = qualities([run for folder in folders for run in collect(folder)])
    if not rows:
        raise UserError(
            f"No run in {', '.join(map(str, folders))} has measured a forget side whose better is known",
            "Give runs of data that have one, with a start that knows it",
        )
    table = Table(title="Measures of what is to be forgotten", title_justify="left")
    table.add_column("measure")
    for name in ("faithfulness", "relearning", "quantisation", "robustness", "overall"):
        table.add_column(name, justify="right")
    table.add_column("know / never knew / relearnt / quantised", style="dim")
    for row in sorted(rows, key=lambda row: -(row.overall if row.overall is not None else -1)):
        numbers = (row.faithfulness, row.relearning, row.quantisation, row.robustness, row.overall)
        shown = ("-" if number is None else f"{number:.3f}" for number in numbers)
        table.add_row(row.place, *shown, " / ".join(map(str, row.counts)))
    console = Console()
    (console if console.is_terminal else Console(width=140)).print(table)


def _numbers(run: Run, name: str) -> Iterator[tuple[Column, float]]:
    moment = next((moment for moment in run.raw.get("moments") or () if moment["name"] == name), None)
    for column, estimate in flatten(moment and moment["numbers"], run.raw.get("columns")).items():
        if column.display.role == "forget" and column.display.better and not only_in_figures(column[-1]):
            known = knowledge(estimate.value, column.display)
            if known is not None and math.isfinite(known):
                yield column, known


def _recovered(run: Run, attack: str, displays: dict[str, Display]) -> Iterator[tuple[str, dict[str, float]]]:
    shares = run.raw.get("recovered", {}).get(attack, {}).get("shares", {})
    for evaluation, sets in shares.items():
        for set_name, measures in sets.items():
            for measure, values in measures.items():
                place = f"{evaluation}/{set_name}/{measure}"
                if place in displays:
                    known_shares = {
                        name: known
                        for name in ("unlearned", "attacked", "never_knew", "never_knew_attacked")
                        if values.get(name) is not None
                        and (known := knowledge(values[name], displays[place])) is not None
                    }
                    if {"unlearned", "attacked"} <= known_shares.keys():
                        yield place, known_shares


def _within(value: float) -> float:
    return max(0.0, min(1.0, value))


def _both(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else harmonic_mean([one, other])
