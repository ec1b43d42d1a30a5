"""Which numbers are best, and surely so: bold and underline, and the ranking columns of Liu et al. 2024, table 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import Display, rank, show_value
from unlearnkit.tables.aggregate import ORIGINAL, Table
from unlearnkit.tables.significance import differing
from unlearnkit.tables.variants import asked_alike

AVERAGE = "average"
Values = Mapping[str, Mapping[Column, float]]  # row -> column -> number
Show = Callable[[Display, float | None], object]


def exactly(display: Display, value: float | None) -> float | None:
    """For printed numbers, which are alike only where they are equal."""
    return value


def mark(table: Table) -> dict[tuple[str, Column], int]:
    """1 (best) or 2 (next best) by (row, column), among the methods, as far as a test tells them apart.

    The best and all that do not differ from it share the 1, where another method does differ; of these others the best
    and all that do not differ from it share the 2, again only where another does, or where there is one alone. A number
    without an interval, as of a seed that diverged, differs from nothing that is known, and gets none. Nor does one of
    a column whose runs were not all asked the same.
    """
    marks: dict[tuple[str, Column], int] = {}
    for column in table.columns:
        better = column.display.better
        there = {row: cells[column] for row, cells in table.rows.items() if row != ORIGINAL and column in cells}
        known = [row for row, cell in there.items() if not any(map(math.isnan, (cell.value, cell.low, cell.high)))]
        left = sorted(known, key=lambda row: there[row].value)
        runs = [run for row in left for run in table.runs.get(row, ())]
        if better is None or len(left) < 2 or not asked_alike(runs, column):
            continue
        left = left if better == "lower" else left[::-1]
        apart = differing(table, column, left)
        for place in (1, 2):
            worse = [row for row in left if frozenset((left[0], row)) in apart]
            if worse or (place == 2 and len(left) == 1):
                marks |= {(row, column): place for row in left if row not in worse}
            left = worse
            if not left:
                break
    return marks


def places(rows: Values, show: Show = show_value) -> dict[tuple[str, Column], int]:
    """1 for the best and 2 for the next of a paper's plain numbers; `show` says which are alike."""
    methods = [row for row in rows if row != ORIGINAL]
    marks: dict[tuple[str, Column], int] = {}
    for column in dict.fromkeys(column for row in methods for column in rows[row]):
        ranks = rank(column.display, [rows[row].get(column) for row in methods], show)
        marks |= {(row, column): place for row, place in zip(methods, ranks, strict=True) if place in (1, 2)}
    return marks


def ranking(
    rows: Values, groups: Mapping[str, Sequence[Column]], show: Show = show_value
) -> dict[str, dict[str, float]]:
    """row -> group -> its rank among the methods, and their mean as `average` (Liu et al. 2024, table 1).

    A method's rank in a group is that of its mean rank over the group's columns; equal means share a rank. The paper
    does not say how it ranks: this gives all of its printed ranks with the harmful rates as `unlearn` and the normal
    prompts' perplexity and BLEURT as `utility` (the perplexities of harmful prompts count in neither). The mean of
    the harmful rates themselves would give the same, so the numbers do not tell the two apart.
    """
    methods = [row for row in rows if row != ORIGINAL]
    ranks_of: dict[str, dict[str, float]] = {row: {} for row in methods}
    for name, columns in groups.items():
        ranks = {c: rank(c.display, [rows[row].get(c) for row in methods], show) for c in columns}
        means = {}
        for number, row in enumerate(methods):
            own = [by[number] for by in ranks.values()]
            known = [place for place in own if place is not None]
            if own and len(known) == len(own):
                means[row] = fmean(known)
        order = sorted(set(means.values()))
        for row, mean in means.items():
            ranks_of[row][name] = order.index(mean) + 1.0
    return {
        row: {**own, AVERAGE: fmean(own.values())} if len(own) == len(groups) else own
        for row, own in ranks_of.items()
        if own
    }


def best_two(ranks: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """1 for the lowest `average` of ranks, 2 for the next, by row; equal ones share."""
    order = sorted({own[AVERAGE] for own in ranks.values() if AVERAGE in own})[:2]
    return {row: order.index(own[AVERAGE]) + 1 for row, own in ranks.items() if own.get(AVERAGE) in order}
