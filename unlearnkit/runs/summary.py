"""What a run prints when it ends: before and after, and where to look."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from unlearnkit.measures.display import arrow, only_in_figures, show_interval, show_value
from unlearnkit.runs.reading import flatten


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
    measured = [before, after] if after else [before]
    for evaluation, name, metric in dict.fromkeys(column for numbers in measured for column in flatten(numbers)):
        if only_in_figures(metric):
            continue
        cells = [numbers.get(evaluation, {}).get(name, {}).get(metric, {}) for numbers in measured]
        shown = [
            text
            for cell in cells
            for text in (
                show_value(metric, cell.get("value")),
                show_interval(metric, cell.get("low"), cell.get("high")) + standard_error(metric, cell.get("stderr")),
            )
        ]
        table.add_row(name, f"{metric} {arrow(metric)}", *shown)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    console.print(
        f"{run['minutes']:.1f} minutes, peak memory {run['peak_memory_gb']:.2f} GB. "
        "Brackets: 95 % interval over prompts."
    )
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


def standard_error(metric: str, stderr: float | None) -> str:
    """Behind an interval, where a number has one."""
    return "" if stderr is None else f", s.e. {show_value(metric, stderr)}"
