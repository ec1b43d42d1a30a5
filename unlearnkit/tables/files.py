"""A sweep's tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.files import write as write_text
from unlearnkit.tables.compare import command, compare
from unlearnkit.tables.render_csv import csv_of
from unlearnkit.tables.render_html import html_fragment, html_page
from unlearnkit.tables.render_latex import latex_of
from unlearnkit.tables.render_markdown import markdown_of

if TYPE_CHECKING:
    from unlearnkit.sweeps import Sweep


def write(sweep: Sweep) -> list[Path]:
    """table.md, .tex, .csv and .html in the sweep's folder, of what is done; none where it has no columns.

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
    sweep.folder.mkdir(parents=True, exist_ok=True)
    files = [sweep.folder / f"table.{kind}" for kind in texts]
    for file, text in zip(files, texts.values(), strict=True):
        write_text(file, text)
    return files


def fragment(sweep: Sweep) -> str:
    """The tables as HTML for a page that has a style of its own; empty where the sweep has no columns."""
    return html_fragment(compare(sweep), sweep.spec) if sweep.spec.get("columns") else ""
