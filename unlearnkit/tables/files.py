"""A sweep's tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.files import write as write_text
from unlearnkit.tables.compare import DONE, command, compare
from unlearnkit.tables.leaderboard import leaderboards
from unlearnkit.tables.matched import has_both, text_of
from unlearnkit.tables.reading import read_run
from unlearnkit.tables.render_csv import csv_of
from unlearnkit.tables.render_html import html_fragment, html_page
from unlearnkit.tables.render_latex import latex_of
from unlearnkit.tables.render_markdown import markdown_of

if TYPE_CHECKING:
    from unlearnkit.sweeps import Sweep


def write(sweep: Sweep) -> list[Path]:
    """table.md, .tex, .csv and .html in the sweep's folder, of what is done; none where it has no columns.

    A sweep with a `leaderboard` has leaderboard.md and .html beside them. One with `matched`, which are shares of the
    start's utility, has matched.md of the cells whose curves are of validation and of test.

    Raises:
        UserError: numbers or claims of the sweep's YAML that are not as they should be.
    """
    if not sweep.spec.get("columns"):
        return []
    comparisons, makes = compare(sweep), command(sweep)
    texts = {
        "md": markdown_of(comparisons, sweep.spec, makes),
        "tex": latex_of(comparisons, sweep.spec, makes),
        "csv": csv_of(comparisons),
        "html": html_page(comparisons, sweep.spec, makes),
    }
    named = {f"table.{kind}": text for kind, text in texts.items()}
    if sweep.spec.get("leaderboard"):
        boards = leaderboards(comparisons, sweep.spec)
        told = {**sweep.spec, "title": f"Leaderboard: {sweep.spec.get('title') or sweep.name}"}
        named |= {
            "leaderboard.md": markdown_of(boards, told, makes),
            "leaderboard.html": html_page(boards, told, makes),
        }
    if shares := sweep.spec.get("matched"):
        runs = [read_run(cell.folder) for cell in sweep.cells if cell.state == DONE]
        if curves := [run for run in runs if has_both(run)]:
            named["matched.md"] = text_of(curves, [float(share) for share in shares])
    sweep.folder.mkdir(parents=True, exist_ok=True)
    files = [sweep.folder / name for name in named]
    for file, text in zip(files, named.values(), strict=True):
        write_text(file, text)
    return files


def fragment(sweep: Sweep) -> str:
    """The tables as HTML for a page that has a style of its own; empty where the sweep has no columns."""
    return html_fragment(compare(sweep), sweep.spec) if sweep.spec.get("columns") else ""
