"""A table as it is shown, before any format: what the renderers have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import arrow, show_interval, show_value
from unlearnkit.tables.aggregate import ORIGINAL, Cell, Table
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.footnotes import footnotes
from unlearnkit.tables.marks import AVERAGE, best_two, mark
from unlearnkit.tables.outcomes import Ranks
from unlearnkit.tables.paper import as_printed

OURS, PAPER = "ours", "paper"


@dataclass(frozen=True)
class CellText:
    """A cell: its number, its interval, and 1 (best), 2 (runner-up) or None."""

    value: str
    interval: str = ""
    place: int | None = None


@dataclass(frozen=True)
class Line:
    """A row of one side: `side` is empty where the table has ours alone."""

    label: str
    side: str
    cells: list[CellText]


@dataclass(frozen=True)
class Sheet:
    """Column titles as (group, name), lines, and notes below."""

    corner: str
    columns: list[tuple[str, str]]
    lines: list[Line]
    notes: list[str]

    @property
    def sided(self) -> bool:
        return any(line.side for line in self.lines)

    def methods(self) -> list[list[Line]]:
        """The lines of each method together: ours and, where it has one, the paper's."""
        together: list[list[Line]] = []
        for line in self.lines:
            if line.side == PAPER:
                together[-1].append(line)
            else:
                together.append([line])
        return together

    def groups(self) -> list[tuple[str, int]]:
        """The header's upper line: each group with the columns that it spans."""
        return [(group, len(list(members))) for group, members in groupby(self.columns, key=lambda c: c[0])]


def sheet_of_table(table: Table) -> Sheet:
    """Ours alone."""
    titles = [(table.title(c).rpartition("/")[0], f"{c[-1]} {arrow(c.display)}".strip()) for c in table.columns]
    marks = mark(table)
    lines = []
    for row, cells in table.rows.items():
        shown = [_cell(c, cells.get(c), marks.get((row, c))) for c in table.columns]
        lines.append(Line(table.label(row), "", shown))
    return Sheet(f"{table.model}, {table.data}", titles, lines, footnotes(table))


def sheet_of_comparison(comparison: Comparison) -> Sheet:
    """Ours with the paper's below it, method by method; numbers as papers write them (>10¹⁰)."""
    table, headings, paper = comparison.table, comparison.headings, comparison.paper
    columns = [(h.group, f"{h.name} {arrow(h.column.display)}".strip()) for h in headings]
    names, marks = comparison.rankings, comparison.marks
    columns += [("Ranking", name) for name in names]
    lines = []
    for row, cells in table.rows.items():
        shown = [_cell(h.column, cells.get(h.column), marks.get((row, h.column)), as_printed) for h in headings]
        shown += _ranks(comparison.our_ranks, row, names)
        lines.append(Line(table.label(row), OURS if paper else "", shown))
        if row not in paper:
            continue
        texts = {key: as_printed(number.text) for key, number in paper[row].items()}
        shown = [CellText(texts.get(h.key, "-"), "", comparison.paper_marks.get((row, h.column))) for h in headings]
        lines.append(Line(table.label(row), PAPER, shown + _ranks(comparison.paper_ranks, row, names)))
    return Sheet("", columns, lines, comparison.notes)


def _cell(column: Column, cell: Cell | None, place: int | None, written: Callable[[str], str] = str) -> CellText:
    display = column.display
    if cell is None:
        return CellText("-")
    return CellText(
        written(show_value(display, cell.value)), written(show_interval(display, cell.low, cell.high)), place
    )


def _ranks(ranks: Ranks, row: str, names: list[str]) -> list[CellText]:
    own, best = ranks.get(row, {}), best_two(ranks)
    missing = "NA" if row == ORIGINAL else "-"  # as the paper prints it
    return [
        CellText(f"{own[name]:g}" if name in own else missing, "", best.get(row) if name == AVERAGE else None)
        for name in names
    ]
