"""What a run prints when it ends: before and after, and where to look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unlearnkit.measures.columns import Column, flatten
from unlearnkit.measures.display import arrow, only_in_figures, show_interval, show_value


def show(folder: Path) -> None:
    """Print the run's table of before and after, and the path of its report."""
    metrics = json.loads((folder / "metrics.json").read_text())
    run, before, after = metrics["run"], metrics["before"], metrics["after"]
    table = Table(title=f"{run['method']} on {run['model']}, {run['data']}, seed {run['seed']}", title_justify="left")
    table.add_column("set")
    table.add_column("metric")
    for when in ("before", "after") if after else ("base",):
        table.add_column(when, justify="right")
        table.add_column("95 %", style="dim")
    measured = [flatten(numbers, metrics["columns"]) for numbers in ([before, after] if after else [before])]
    for column in dict.fromkeys(column for numbers in measured for column in numbers):
        if only_in_figures(column[-1]):
            continue
        shown = []
        for numbers, raw in zip(measured, (before, after), strict=False):
            entry = numbers.get(column)
            shown += [
                show_value(column.display, entry.value if entry else None),
                (show_interval(column.display, entry.low, entry.high) + standard_error(column, raw)) if entry else "",
            ]
        table.add_row("/".join(column[1:-1]), f"{column[-1]} {arrow(column.display)}", *shown)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    console.print(
        f"{run['minutes']:.1f} minutes, peak memory {run['peak_memory_gb']:.2f} GB. "
        "Brackets: 95 % interval over prompts."
    )
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


def standard_error(column: Column, numbers: dict[str, Any]) -> str:
    """Behind an interval, where a number has one."""
    for part in column:
        numbers = numbers[part]
    stderr = numbers.get("stderr")
    return "" if stderr is None else f", s.e. {show_value(column.display, stderr)}"
