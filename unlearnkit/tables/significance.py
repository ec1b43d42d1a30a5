"""Whether two methods' numbers differ by more than chance: tests of all pairs of a column, corrected for their number.

Where both answered the same prompts, the test is paired over these; over several seeds the intervals must say so too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

from hydra.utils import instantiate
from scipy.stats import norm

from unlearnkit.identity import config_in
from unlearnkit.measures.aggregates import OfNumbers
from unlearnkit.measures.columns import Column
from unlearnkit.measures.combined import OfMeasures
from unlearnkit.measures.paired import paired
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record, read_parquet, records_path
from unlearnkit.tables.aggregate import Cell, Table
from unlearnkit.tables.reading import Run

LEVEL = 0.05
Prompts = dict[tuple[str, ...], float]  # (data, seed, set, id, prompt) -> what was measured on it


def differing(table: Table, column: Column, methods: Sequence[str]) -> set[frozenset[str]]:
    """The pairs of methods whose numbers in a column differ (p < 0.05, Holm 1979, over all pairs of the column)."""
    prompts = {method: measured(table.runs.get(method, ()), column) for method in methods}
    cells = {method: table.rows[method][column] for method in methods}
    pairs = list(combinations(methods, 2))
    p_values = [
        p_value(cells[one], cells[other], prompts[one], prompts[other], column.display.scale, len(pairs))
        for one, other in pairs
    ]
    return {frozenset(pair) for pair, p in zip(pairs, holm(p_values), strict=True) if p < LEVEL}


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted step by step (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, least = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


def p_value(one: Cell, other: Cell, first: Prompts, second: Prompts, scale: Scale, family: int = 1) -> float:
    """Two-sided, of no difference: paired over common prompts and, of several seeds, over these; else by intervals.

    Args:
        family: of how many tests it is one.
    """
    shared = first.keys() & second.keys()
    if len(shared) < 2 or len(shared) < max(len(first), len(second)):
        return by_intervals(one, other, scale)
    apart: dict[tuple[str, ...], list[float]] = {}
    for key in sorted(shared):
        apart.setdefault((key[0], *key[2:]), []).append(first[key] - second[key])
    p = paired([sum(values) / len(values) for values in apart.values()], family)
    return p if min(one.seeds, other.seeds) == 1 else max(p, by_intervals(one, other, scale))


def by_intervals(one: Cell, other: Cell, scale: Scale) -> float:
    """From the two intervals' halves that face each other (Zou and Donner 2008); 1 where one is not known."""
    if one.value < other.value:
        one, other = other, one
    numbers = [one.value, one.low, other.value, other.high]
    if scale.geometric:
        numbers = [math.log(number) if number > 0 else math.nan for number in numbers]
    value, low, least, high = numbers
    reach = math.hypot(value - low, high - least)
    if not math.isfinite(reach) or reach == 0:
        return 1.0
    return float(2 * norm.sf(norm.ppf(0.975) * (value - least) / reach))


def measured(runs: Iterable[Run], column: Column) -> Prompts:
    """What a metric says of each prompt of runs, from their own records; empty where one has none of it.

    A perplexity's is on the log scale.
    """
    prompts: Prompts = {}
    for run in runs:
        own = _of_run(run, column)
        if not own:
            return {}
        prompts |= {(run.data, str(run.seed), *key): value for key, value in own.items()}
    return prompts


def _of_run(run: Run, column: Column) -> dict[tuple[str, ...], float]:
    try:
        *attack, evaluation, set_name, name = column
        measure = instantiate(config_in(run.folder)["eval"][evaluation]["measures"][name])
        if isinstance(measure, OfMeasures | OfNumbers):  # of a whole set: no prompt has a number of its own
            return {}
        path = records_path(run.folder, attack[0] if attack else "after", evaluation)
        rows = read_parquet(path) if path.is_file() else []
    except (OSError, KeyError, TypeError, ValueError):  # a run of another kind
        return {}
    prompts: dict[tuple[str, ...], list[Record]] = {}
    for row in rows:
        if row.set == set_name:
            prompts.setdefault((row.set, row.id, row.prompt), []).append(row)
    values = {key: measure(own, column.display.role).value for key, own in prompts.items()}
    if column.display.scale.geometric:
        values = {key: math.log(value) if value > 0 else math.nan for key, value in values.items()}
    return {key: value for key, value in values.items() if not math.isnan(value)}
