"""A sweep's methods in the order of how well they forget, among those that keep a share of the start's utility."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.columns import share_of_start
from unlearnkit.tables.aggregate import ORIGINAL
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.paper import Heading


def leaderboards(comparisons: Sequence[Comparison], spec: Mapping[str, Any]) -> list[Comparison]:
    """One a comparison and share: its rows in order, the start first; claims and agreement are left to the tables.

    Args:
        spec: of the sweep, whose `leaderboard` names the column to go by (`best`), that which utility is (`keep`), and
            `shares` of the start's utility, above 0 and up to 1.

    Raises:
        UserError: a column that the sweep does not have, one without a direction, or a share that is none.
    """
    board = dict(spec["leaderboard"])
    shares = [float(share) for share in board.get("shares") or ()]
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"leaderboard.shares={shares} of the sweep '{spec.get('name')}' are no shares of the start's utility",
            "Give some above 0 and up to 1, such as [0.9, 0.8]",
        )
    return [_at(comparison, board, share) for comparison in comparisons for share in shares]


def _at(comparison: Comparison, board: Mapping[str, Any], share: float) -> Comparison:
    best, keep = (_heading(comparison, str(board.get(key))) for key in ("best", "keep"))
    rows = comparison.table.rows
    start = rows.get(ORIGINAL, {}).get(keep.column)
    utility = {
        row: share_of_start(keep.column, cells[keep.column], start)
        for row, cells in rows.items()
        if row != ORIGINAL and start is not None and start.value > 0 and keep.column in cells
    }
    sign = -1 if best.column.display.better == "higher" else 1
    values = {row: rows[row][best.column].value for row in utility if best.column in rows[row]}
    enough = [row for row, value in values.items() if utility[row] >= share and not math.isnan(value)]
    order = sorted(enough, key=lambda row: sign * values[row])
    left = [f"{comparison.table.label(row)} keeps {utility[row]:.0%}" for row in utility if row not in order]
    table = replace(comparison.table, rows={row: rows[row] for row in (ORIGINAL, *order) if row in rows})
    remark = f"Methods that keep at least {share:.0%} of the start's {keep.title}, by {best.title}."
    more = f" Not among them: {'; '.join(left)}." if left else ""
    if start is not None and not start.value > 0:
        more = " The start has none that could be kept."
    return replace(comparison, table=table, claims=[], correlations={}, remarks=[remark + more], notes=[])


def _heading(comparison: Comparison, key: str) -> Heading:
    by_key = {heading.key: heading for heading in comparison.headings}
    if key not in by_key or by_key[key].column.display.better is None:
        why = "is no column of the sweep" if key not in by_key else "has no direction that is better"
        raise UserError(
            f"leaderboard: '{key}' {why}.{nearest(key, by_key)}", f"The sweep's columns are: {', '.join(by_key)}"
        )
    return by_key[key]
