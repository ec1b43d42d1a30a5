"""What a run prints when it ends: before and after, and where to look."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unlearnkit.measures.columns import Column, before_and_after
from unlearnkit.measures.display import arrow, only_in_figures, show_interval, show_value
from unlearnkit.runs.attacked import MODELS, Attacked, is_attacks, short_rows
from unlearnkit.runs.retained import warning


def show(folder: Path, words: Sequence[str] = ()) -> None:
    """Print the run's table of before and after, the path of its report, and a warning where too much was lost.

    Args:
        words: see `unlearnkit.runs.retained.warning`.
    """
    metrics = json.loads((folder / "metrics.json").read_text())
    run, (before, after) = metrics["run"], before_and_after(metrics)
    table = Table(title=f"{run['method']} on {run['model']}, {run['data']}, seed {run['seed']}", title_justify="left")
    table.add_column("set")
    table.add_column("metric")
    for when in ("before", "after") if after else ("base",):
        table.add_column(when, justify="right")
        table.add_column("95 %", style="dim")
    measured = [before, after] if after else [before]
    for column in dict.fromkeys(column for numbers in measured for column in numbers):
        if only_in_figures(column[-1]) or is_attacks(column, metrics):
            continue
        shown = []
        for numbers, when in zip(measured, ("before", "after"), strict=False):
            entry = numbers.get(column)
            shown.append(show_value(column.display, entry.value if entry else None))
            interval = show_interval(column.display, entry.low, entry.high) if entry else ""
            shown.append(interval + standard_error(column, metrics[when]) if entry else "")
        place = column[1:-1] if len(column) == 3 else column[:-1]
        table.add_row("/".join(place), f"{column[-1]} {arrow(column.display)}", *shown)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    rows = short_rows(metrics)
    if rows:
        console.print(_under_attack(rows))
    for attack in metrics.get("recovered", {}).keys() - {row.attack for row in rows}:
        console.print(f"Under the attack '{attack}' no number says what came back (docs/attacks.md).")
    console.print(
        f"{run['minutes']:.1f} minutes, peak memory {run['peak_memory_gb']:.2f} GB. "
        "Brackets: 95 % interval over prompts."
    )
    for sentence in chosen(metrics):
        console.print(sentence)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    for line in warning(folder, words):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _under_attack(rows: Sequence[Attacked]) -> Table:
    several = len({row.place for row in rows}) > 1
    table = Table("attack", "measure", title="Under attack, over the same prompts", title_justify="left")
    places = [place for place, name in enumerate(MODELS.values()) if any(row.cells[place] != "-" for row in rows)]
    for place in places:
        table.add_column(list(MODELS.values())[place], justify="right")
    table.add_column("recovered")
    for row in rows:
        measure = f"{row.place}/{row.measure}" if several else row.measure
        table.add_row(
            row.attack, measure, *(row.cells[place] for place in places), row.share or "no loss shown" * row.compared
        )
    return table


def chosen(metrics: dict[str, Any]) -> list[str]:
    """A sentence for a learning rate that was chosen, and one a stage whose step was."""
    choices = metrics.get("chosen", {}).items()
    steps = [f"Step {c['step']} of the stage '{stage}' was chosen: {c['reason']}." for stage, c in choices]
    if tuned := metrics.get("tuned"):
        tried = dict.fromkeys(f"{there['rate']:g}" for there in tuned["tried"])
        lost = f" ({', '.join(tuned['diverged'])} diverged)" if tuned["diverged"] else ""
        rate = f"{tuned['rate']:g} of {', '.join(tried)}{lost}"
        return [f"The learning rate {rate} was chosen on validation: {tuned['reason']}.", *steps]
    return steps


def standard_error(column: Column, numbers: dict[str, Any]) -> str:
    """Behind an interval, where a number has one."""
    for part in column:
        numbers = numbers.get(part, {})  # an attack's numbers stand elsewhere, and have none
    stderr = numbers.get("stderr")
    return "" if stderr is None else f", s.e. {show_value(column.display, stderr)}"
