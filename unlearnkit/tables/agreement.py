"""How far our order of the methods is the paper's: rank correlation, column by column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from unlearnkit.metrics.display import LARGEST
from unlearnkit.tables.aggregate import ORIGINAL, Table
from unlearnkit.tables.paper import Block, Heading, Printed, in_print

FEWEST = 3  # methods: of two, a correlation is 1 or -1 whatever they do


def rank_correlation(ours: Mapping[str, float], theirs: Mapping[str, Printed]) -> tuple[float | None, int]:
    """Spearman's rho over the methods that both have, ties at their mean rank, and how many these are.

    What the paper prints as `>1000` is one tie, and so is what is past that in our numbers (or past 1e10 anywhere).
    None with fewer than three methods, or where one side has the same value for all. NaN is left out.

    Args:
        ours: row -> value in the unit that the paper prints.
    """
    shared = [row for row in ours if row in theirs and not math.isnan(ours[row])]
    limit = min((number.bound for number in theirs.values() if number.bound is not None), default=LARGEST)
    pairs = [[min(ours[row], limit), min(theirs[row].value, limit)] for row in shared]
    x, y = np.array(pairs).reshape(-1, 2).T
    if len(shared) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None, len(shared)
    return float(spearmanr(x, y).statistic), len(shared)


def correlations(table: Table, headings: Sequence[Heading], paper: Block) -> dict[str, tuple[float | None, int]]:
    """key of a column -> rank correlation of the methods with the paper's, and of how many methods."""
    found = {}
    for heading in headings:
        column = heading.column
        ours = {
            row: in_print(column) * cells[column].value
            for row, cells in table.rows.items()
            if row != ORIGINAL and column in cells
        }
        theirs = {row: own[heading.key] for row, own in paper.items() if row != ORIGINAL and heading.key in own}
        if theirs:
            found[heading.key] = rank_correlation(ours, theirs)
    return found


def mean_correlation(found: Mapping[str, tuple[float | None, int]]) -> float:
    """Over the columns that have one; NaN where none has."""
    known = [rho for rho, _ in found.values() if rho is not None]
    return sum(known) / len(known) if known else math.nan
