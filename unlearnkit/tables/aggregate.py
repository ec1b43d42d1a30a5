"""Runs -> a table of methods, each cell a mean over seeds with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import only_in_figures
from unlearnkit.measures.interval import Estimate
from unlearnkit.measures.seeds import Scale, over_seeds
from unlearnkit.tables.published import column as column_today
from unlearnkit.tables.reading import Run
from unlearnkit.tables.variants import asked_otherwise, starts_of

OF_PAPERS = (
    *("ft", "task_vector", "ga", "ga_mismatch", "sku"),  # the rows of Liu et al. 2024, table 1
    *("random_labels", "adversarial", "ga_gd", "ga_gd_ood", "ga_kl", "ga_kl_ood", "memflex"),  # Tian et al. 2024
)
METHODS = tuple(name for method in OF_PAPERS for name in (method, f"{method}_as_published"))
ORIGINAL = "original"


@dataclass(frozen=True)
class Cell:
    """A mean over so many `seeds` (runs) with its 95 % interval: over these, or one run's own over `examples`."""

    value: float
    low: float
    high: float
    seeds: int
    examples: bool


@dataclass
class Table:
    """The runs of one model and one data set: rows by name (`original` first), cells by column.

    `runs` are what the rows were made of. `titles` and `labels` are what a paper calls a column and a row, where it has
    a name for it; `over` is what the means are over: seeds, or runs where these are of several concepts.
    """

    model: str
    data: str
    columns: list[Column]
    rows: dict[str, dict[Column, Cell]]
    notes: list[str] = field(default_factory=list)
    titles: dict[Column, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    over: str = "seeds"
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def title(self, column: Column) -> str:
        """The paper's, or `set/metric` with the evaluation in front only where the table has several."""
        drop = len(column) > 1 and len({c[0] for c in self.columns}) == 1
        return self.titles.get(column) or "/".join(column[1:] if drop else column)

    def label(self, row: str) -> str:
        return self.labels.get(row, row)


def mean_over_seeds(estimates: Sequence[Estimate], scale: Scale, same_model: bool = False) -> Cell:
    """Mean and 95 % interval over seeds (see `metrics.seeds`); with one seed that run's own interval.

    `same_model`: the estimates measure one and the same model, so equal values are one measurement repeated
    and say nothing about spread: then its own interval too.
    """
    first = estimates[0]
    if len(estimates) == 1 or same_model and all(e.value == first.value for e in estimates):
        return Cell(first.value, first.low, first.high, len(estimates), examples=True)
    return Cell(*over_seeds(estimates, scale), len(estimates), examples=False)


def select_columns(columns: Iterable[Column], patterns: Sequence[str]) -> list[Column]:
    """The columns that match `wanted`, in its order: `set/metric` or `evaluation/set/metric`, `*` allowed."""
    names = {"/".join(column): column for column in columns}
    chosen: dict[Column, None] = {}
    for pattern in patterns:
        if "*" not in pattern and "/".join(published := column_today(pattern)) in names:
            pattern = "/".join(published)
        hits = [column for name, column in names.items() if fnmatchcase("/" + name, "*/" + pattern)]
        if not hits:
            what = f"No run has a column '{pattern}'.{nearest(pattern, names)}"
            raise UserError(what, f"Columns there are: {', '.join(names)}.")
        chosen |= dict.fromkeys(hits)
    return list(chosen)


def columns_of(runs: Iterable[Run]) -> list[Column]:
    """Every column that one of the runs has, in the order they come."""
    return list(dict.fromkeys(column for run in runs for part in (run.before, run.after) for column in part))


def aggregate(runs: Sequence[Run], methods: Sequence[str] = (), columns: Sequence[str] = ()) -> list[Table]:
    """One table a (model, data).

    Args:
        methods: the rows, in order (default: METHODS, then others by name).
        columns: patterns, see `select_columns` (default: all that are not for figures alone, such as KRS by layer).
    """
    every = columns_of(runs)
    selected = select_columns(every, columns) if columns else [c for c in every if not only_in_figures(c[-1])]
    tables = []
    for model, data in dict.fromkeys((run.model, run.data) for run in runs):
        group = [run for run in runs if (run.model, run.data) == (model, data)]
        there = {run.method for run in group if run.after}
        order = methods or [*(m for m in METHODS if m in there), *sorted(there - set(METHODS))]
        tables.append(table_of(model, data, group, selected, [ORIGINAL, *order]))
    return tables


def table_of(model: str, data: str, runs: Sequence[Run], columns: list[Column], order: Sequence[str]) -> Table:
    """The table of runs of one model and data with these columns and rows; what is left out stands in its notes."""
    notes = []
    rows: dict[str, dict[tuple[str, int], Run]] = {ORIGINAL: {}}  # by data and seed
    starts = starts_of(runs)
    if others := list(dict.fromkeys(start for start in starts if start != starts[0])):
        notes.append(
            f"`original` is the start of {starts[0]} alone; other runs began with that of {'; '.join(others)}."
        )
    for run, start in zip(runs, starts, strict=True):
        key = run.data, run.seed
        first = rows[ORIGINAL].setdefault(key, run) if start == starts[0] else run
        if repr(run.before) != repr(first.before):  # repr: NaN is then equal to NaN
            notes.append(f"`original` differs at seed {run.seed}: {first.folder} used, not {run.folder}.")
        if not run.after:
            if run.method != "base":
                notes.append(f"{run.folder} ({run.method}) was not measured after its stages: left out.")
            continue
        if old := rows.setdefault(run.method, {}).get(key):
            notes.append(f"{run.method} has seed {run.seed} twice: {run.folder} used, not {old.folder}.")
        rows[run.method][key] = run
    cells: dict[str, dict[Column, Cell]] = {}
    for row in order:
        own = [run for _, run in sorted(rows.get(row, {}).items())]
        parts = [run.before if row == ORIGINAL else run.after for run in own]
        have = {c: [part[c] for part in parts if c in part] for c in columns}
        cells[row] = {
            c: mean_over_seeds(values, c.display.scale, row == ORIGINAL) for c, values in have.items() if values
        }
    over = "seeds" if len({run.data for run in runs}) <= 1 else "runs"
    notes += [*asked_otherwise(runs), *_versions(runs)]
    own_runs = {row: list(by_seed.values()) for row, by_seed in rows.items() if row != ORIGINAL}
    return Table(model, data, columns, cells, notes, over=over, runs=own_runs)


def _versions(runs: Sequence[Run]) -> list[str]:
    """A note where runs of a table were made by several versions of this package, or computed by several of torch."""
    notes = []
    for library in ("unlearnkit", "torch"):
        made = {str(run.raw["run"].get("versions", {}).get(library, "an earlier one")) for run in runs}
        if len(made) > 1:
            notes.append(f"Made by several versions of {library}: {', '.join(sorted(made))}.")
    return notes
