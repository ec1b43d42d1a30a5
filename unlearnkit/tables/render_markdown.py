"""Tables in Markdown: **best**, <u>runner-up</u>."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlearnkit.tables.aggregate import Table
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.sheet import PAPER, CellText, Sheet, sheet_of_comparison, sheet_of_table
from unlearnkit.tables.words import agreement_line, agreement_rows, block_of, explained, in_paper, outcome, sourced

MARKED = {1: "**{}**", 2: "<u>{}</u>", None: "{}"}


def markdown(table: Table) -> str:
    """A heading, the table, and its footnotes."""
    sheet = sheet_of_table(table)
    return "\n".join([f"### {sheet.corner}", "", *_numbers(sheet, "/"), *_list(sheet.notes)]) + "\n"


def markdown_of(comparisons: Sequence[Comparison], spec: dict, command: str) -> str:
    """A sweep's page: each table with its remarks, notes, agreement and claims."""
    lines = [f"# {spec.get('title') or spec.get('name')}", "", sourced(spec), "", f"`{command}`", ""]
    lines += [agreement_line(comparisons), ""]
    for number, comparison in enumerate(comparisons):
        sheet = sheet_of_comparison(comparison)
        lines += [f"## {comparison.title}", ""]
        lines += [line for remark in comparison.remarks for line in (f"> {remark}", "")]
        if number == 0:
            lines += [explained(sheet.sided), ""]
        lines += [*_numbers(sheet, ": "), *_list(sheet.notes), ""]
        if comparison.correlations:
            lines += ["### Agreement with the paper", "", *_table(agreement_rows(comparison))]
        if comparison.claims:
            rows = [["what the paper says", f"paper{f' ({comparison.block})' if comparison.block else ''}", "ours"]]
            for claim in comparison.claims:
                page, (paper_verdict, values) = f" (page {claim.page})" if claim.page else "", in_paper(claim)
                theirs = f"**{paper_verdict}**{block_of(claim, comparison)}: {values}"
                rows.append([claim.says + page, theirs, f"**{outcome(claim)}**: {claim.our_values}"])
            lines += ["### Claims of the paper's text", "", *_table(rows)]
    return "\n".join(lines).rstrip() + "\n"


def _numbers(sheet: Sheet, between: str) -> list[str]:
    rows = [["method", *[""] * sheet.sided, *(between.join(filter(None, column)) for column in sheet.columns)]]
    for line in sheet.lines:
        lead = ["" if line.side == PAPER else line.label, *[line.side] * sheet.sided]
        rows.append([*lead, *map(_cell, line.cells)])
    return _table(rows, numbers=len(sheet.columns))


def _table(rows: list[list[str]], numbers: int = 0) -> list[str]:
    """A table of which the first row is the head and so many last columns are numbers, and a line after it."""
    rule = ["---"] * (len(rows[0]) - numbers) + ["---:"] * numbers
    return [*map(_line, (rows[0], rule, *rows[1:])), ""]


def _cell(cell: CellText) -> str:
    return f"{MARKED[cell.place].format(cell.value)} {cell.interval}".strip()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _list(notes: Iterable[str]) -> list[str]:
    return [f"- {note}" for note in notes]
