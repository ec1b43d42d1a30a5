"""Tables in Markdown: **best**, <u>runner-up</u>."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlearnkit.tables.aggregate import Table
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.sheet import PAPER, Sheet, Shown, sheet_of_comparison, sheet_of_table
from unlearnkit.tables.words import agreement_line, agreement_rows, block_of, explained, in_paper, sourced, verdict

MARKED = {1: "**{}**", 2: "<u>{}</u>", None: "{}"}


def markdown(table: Table) -> str:
    """A heading, the table, and its footnotes."""
    sheet = sheet_of_table(table)
    return "\n".join([f"### {sheet.corner}", "", *_table(sheet, "method", "/"), "", *_list(sheet.notes)]) + "\n"


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
        lines += [*_table(sheet, "method", ": "), "", *_list(sheet.notes), ""]
        if comparison.correlations:
            head, *rows = agreement_rows(comparison)
            lines += [
                "### Agreement with the paper",
                "",
                _line(head),
                _line(["---"] * len(head)),
                *map(_line, rows),
                "",
            ]
        if comparison.claims:
            head = ["what the paper says", f"paper{f' ({comparison.block})' if comparison.block else ''}", "ours"]
            lines += ["### Claims of the paper's text", "", _line(head), _line(["---"] * 3)]
            for claim in comparison.claims:
                page, (held, values) = f" (page {claim.page})" if claim.page else "", in_paper(claim)
                lines.append(
                    _line(
                        [
                            claim.says + page,
                            f"**{held}**{block_of(claim, comparison)}: {values}",
                            f"**{verdict(claim.ours, claim.clear)}**: {claim.our_values}",
                        ]
                    )
                )
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _table(sheet: Sheet, corner: str, between: str) -> list[str]:
    titles = [between.join(part for part in column if part) for column in sheet.columns]
    sides = [""] if sheet.sided else []
    lines = [_line([corner, *sides, *titles]), _line(["---", *("---" for _ in sides), *("---:" for _ in titles)])]
    for line in sheet.lines:
        lead = ["" if line.side == PAPER else line.label, *([line.side] if sheet.sided else [])]
        lines.append(_line([*lead, *map(_cell, line.cells)]))
    return lines


def _cell(shown: Shown) -> str:
    return f"{MARKED[shown.place].format(shown.value)} {shown.interval}".strip()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _list(notes: Iterable[str]) -> list[str]:
    return [f"- {note}" for note in notes]
