"""The report of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unlearnkit.measures.display import arrow, only_in_figures, rank, show_interval, show_value
from unlearnkit.report.answers import examples
from unlearnkit.report.curves import evaluation_figures, heat_maps, inside_figures, training_figures
from unlearnkit.report.page import render, write_page
from unlearnkit.report.reading import read_config, read_lines
from unlearnkit.report.short import short
from unlearnkit.runs.attacked import MODELS, attacked_rows, is_attacks
from unlearnkit.tables.reading import Run, read_run


def write_report(folder: Path) -> Path:
    """Write `folder`/report.html from the run's own files alone, whole or not at all.

    Raises:
        UserError: `folder` is no run folder, or one of its files is not what a run writes.
    """
    run = read_run(folder)
    config = read_config(folder)
    figures = list(training_figures(read_lines(folder / "log.jsonl")))
    figures += [*evaluation_figures(run), *heat_maps({run.method: [run]}), *inside_figures(run.raw)]
    rows = read_lines(folder / "generations.jsonl")
    shown, left_out = examples({"": {run.method: rows}})
    page = render(
        "run.html.j2",
        run=run,
        facts=run.raw["run"],
        short=short(run, rows),
        measured=measured_rows(run),
        attacked=list(attacked_rows(run.raw)),
        models=MODELS.values(),
        under_attack=measured_rows(run, under_attack=True),
        figures=figures,
        examples=shown,
        left_out=left_out,
        methods=[run.method],
        config=config,
    )
    return write_page(folder, page)


def measured_rows(run: Run, under_attack: bool = False) -> list[dict[str, Any]]:
    """One row a metric: its column and, for before and after, text, interval, n and whether it is better.

    The layers of a probe are left to the heat map.

    Args:
        under_attack: the numbers of the attacked models; else those of the model itself.
    """
    rows = []
    for column in dict.fromkeys([*run.before, *run.after]):
        display, pair = column.display, [run.before.get(column), run.after.get(column)]
        if only_in_figures(column[-1]) or is_attacks(column, run.raw) != under_attack:
            continue
        places = rank(display, [entry.value if entry else None for entry in pair])
        cells = [
            {
                "value": show_value(display, entry.value if entry else None),
                "interval": show_interval(display, entry.low, entry.high) if entry else "",
                "n": entry.n if entry else "",
                "better": place == 1 and sorted(map(str, places)) == ["1", "2"],
            }
            for entry, place in zip(pair, places, strict=True)
        ]
        group = " / ".join(column[:-1])
        rows.append({"group": group, "metric": column[-1], "arrow": arrow(display), "cells": cells})
    return rows
