"""A sweep's cells as CSV, a row a method and column: what a spreadsheet or pandas reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.marks import AVERAGE, best_two
from unlearnkit.tables.outcomes import RANKING
from unlearnkit.tables.paper import in_print

FIELDS = (
    *("model", "data", "method", "label", "column", "title", "value", "low", "high", "runs", "interval", "place"),
    *("paper_model", "paper", "paper_place"),
)


def csv_of(comparisons: Sequence[Comparison]) -> str:
    """Numbers in the printed unit (percent for rates). `interval` is over `runs` or `examples`;
    `place` is 1 for the best method of its side and 2 for the next, of ours as far as tests
    tell (see `mark`); what is missing is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for comparison in comparisons:
        table, paper = comparison.table, comparison.paper
        sides = (("value", comparison.our_ranks, "place"), ("paper", comparison.paper_ranks, "paper_place"))
        for row, cells in table.rows.items():
            lead = {"model": table.model, "data": table.data, "method": row, "label": table.label(row)}
            lead["paper_model"] = comparison.block or ""
            for heading in comparison.headings:
                line = {**lead, "column": heading.key, "title": heading.title}
                if cell := cells.get(heading.column):
                    unit = in_print(heading.column)
                    line |= {key: f"{unit * getattr(cell, key):.10g}" for key in ("value", "low", "high")}
                    line |= {"runs": str(cell.seeds), "interval": "examples" if cell.examples else "runs"}
                    line["place"] = str(comparison.marks.get((row, heading.column), ""))
                if number := paper.get(row, {}).get(heading.key):
                    line["paper"] = f">{number.bound:.10g}" if number.bound is not None else f"{number.value:.10g}"
                    line["paper_place"] = str(comparison.paper_marks.get((row, heading.column), ""))
                writer.writerow({key: plain(cell) for key, cell in line.items()})
            for name in comparison.rankings:
                line = {**lead, "column": f"{RANKING}/{name}", "title": f"Ranking: {name}"}
                for side, ranks, place in sides:
                    if name in ranks.get(row, {}):
                        line[side] = f"{ranks[row][name]:g}"
                        line[place] = str(best_two(ranks).get(row, "")) if name == AVERAGE else ""
                writer.writerow({key: plain(cell) for key, cell in line.items()})
    return out.getvalue()


def plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: behind an apostrophe, unless it is a number."""
    if cell.lstrip()[:1] not in (*"=+-@|%", "\0") and cell[:1] not in ("\t", "\r", "\n"):
        return cell
    try:
        float(cell)
        return cell
    except ValueError:
        return f"'{cell}"
