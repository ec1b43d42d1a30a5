"""How far our order of the methods is the paper's: rank correlation, column by column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, spearmanr

from unlearnkit.measures.display import LARGEST
from unlearnkit.tables.aggregate import ORIGINAL, Table
from unlearnkit.tables.paper import Block, Heading, Printed, in_print

FEWEST = 3  # methods: of two, a correlation is 1 or -1 whatever they do
EXACT, DRAWN = 9, 100_000  # methods whose orders are all tried; orders that are drawn where there are more


class Correlation(NamedTuple):
    """Spearman's rho (None: not told), of how many methods, and the p-value of so large a one by chance."""

    rho: float | None
    methods: int
    p: float | None = None


def rank_correlation(ours: Mapping[str, float], theirs: Mapping[str, Printed]) -> Correlation:
    """Spearman's rho over the methods that both have, ties at their mean rank.

    The p-value is two-sided and exact to nine methods: the share of all orders of the methods with a rho as far from 0.

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
        return Correlation(None, len(shared))
    return Correlation(float(spearmanr(x, y).statistic), len(shared), chance(x, y))


def chance(x: np.ndarray, y: np.ndarray) -> float:
    """The two-sided p-value of Spearman's rho by permutation, over all of them or, past nine methods, 100,000."""
    first, second = rankdata(x) - (len(x) + 1) / 2, rankdata(y) - (len(y) + 1) / 2
    if len(x) <= EXACT:
        orders = np.array(list(permutations(range(len(x)))))
        return float((np.abs(second[orders] @ first) >= abs(second @ first) - 1e-9).mean())
    drawn = np.random.default_rng(0).permuted(np.tile(second, (DRAWN, 1)), axis=1)
    return float((1 + (np.abs(drawn @ first) >= abs(second @ first) - 1e-9).sum()) / (1 + DRAWN))


def correlations(table: Table, headings: Sequence[Heading], paper: Block) -> dict[str, Correlation]:
    """key of a column -> rank correlation of the methods with the paper's, and of how many methods."""
    by_key = {}
    for heading in headings:
        column = heading.column
        ours = {
            row: in_print(column) * cells[column].value
            for row, cells in table.rows.items()
            if row != ORIGINAL and column in cells
        }
        theirs = {row: own[heading.key] for row, own in paper.items() if row != ORIGINAL and heading.key in own}
        if theirs:
            by_key[heading.key] = rank_correlation(ours, theirs)
    return by_key


def mean_correlation(correlations: Mapping[str, Correlation]) -> float:
    """Over the columns that have one; NaN where none has."""
    known = [one.rho for one in correlations.values() if one.rho is not None]
    return sum(known) / len(known) if known else math.nan
