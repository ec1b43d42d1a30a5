"""metrics.json files -> a table of methods, over seeds: `python -m unlearnkit.tables FOLDER`.

Four steps apart: `collect` runs, `aggregate` over seeds, `mark` the best, render (`markdown`, `latex`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from unlearnkit.errors import UserError, nearest
from unlearnkit.metrics.display import arrow, rank, show_interval, show_value
from unlearnkit.metrics.interval import Estimate

METHODS = (
    *("ft", "task_vector", "ga", "ga_mismatch", "sku"),  # the rows of Liu et al. 2024, table 1
    *("random_labels", "adversarial", "ga_gd", "ga_gd_ood", "ga_kl", "ga_kl_ood", "memflex"),  # Tian et al. 2024
)
ORIGINAL = "original"
KEYS = ("value", "low", "high")
Column = tuple[str, ...]  # (evaluation, set, metric)


@dataclass(frozen=True)
class Run:
    """What one metrics.json says."""

    folder: Path
    model: str
    data: str
    method: str
    seed: int
    before: dict[Column, Estimate]
    after: dict[Column, Estimate]  # empty for a run without a method
    raw: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A mean over `seeds` with its 95 % interval: over seeds, or one run's bootstrap over examples."""

    value: float
    low: float
    high: float
    seeds: int
    bootstrap: bool


@dataclass
class Table:
    """The runs of one model and one data set: rows by name (`original` first), cells by column."""

    model: str
    data: str
    columns: list[Column]
    rows: dict[str, dict[Column, Cell]]
    notes: list[str] = field(default_factory=list)


def flatten(metrics: Mapping[str, Any] | None, path: Column = ()) -> dict[Column, Estimate]:
    """Nested METRICS -> estimates by (evaluation, set, metric); a null number is NaN, None is empty."""
    flat: dict[Column, Estimate] = {}
    for name, entry in (metrics or {}).items():
        if isinstance(entry.get("value", {}), Mapping):
            flat |= flatten(entry, (*path, name))
        else:
            value, low, high = (math.nan if (x := entry.get(k)) is None else float(x) for k in KEYS)
            n, seed = int(entry.get("n", 0)), int(entry.get("seed", 0))
            flat[(*path, name)] = Estimate(value, low, high, n, seed)
    return flat


def read_run(folder: Path) -> Run:
    """Read `folder`/metrics.json; `UserError` where it is missing or not what a run writes."""
    path = folder / "metrics.json"
    fix = "Give a folder that `python -m unlearnkit` wrote and finished, such as outputs/<date>/<time>."
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        run = raw["run"]
        model, data, method = (str(run[key]) for key in ("model", "data", "method"))
        before, after = flatten(raw["before"]), flatten(raw.get("after"))
        return Run(folder, model, data, method, int(run["seed"]), before, after, raw)
    except OSError:
        raise UserError(f"{folder} is no run folder: it has no readable metrics.json.", fix) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{path} is not a run's metrics.json ({type(error).__name__}: {error})."
        raise UserError(what, fix) from None


def collect(folder: Path) -> list[Run]:
    """Every run at or below `folder`, in natural order of paths (run 2 before run 10)."""
    found = folder.rglob("metrics.json")
    paths = sorted(found, key=lambda path: re.sub(r"\d+", lambda digits: digits[0].zfill(20), str(path)))
    if not paths:
        raise UserError(
            f"There is no metrics.json in or below {folder}.",
            "Give the output folder of a run or of a multirun, such as multirun/<date>/<time>.",
        )
    return [read_run(path.parent) for path in paths]


def mean_over_seeds(estimates: Sequence[Estimate], same_model: bool = False) -> Cell:
    """Mean and 95 % t-interval over seeds; with one seed that run's own bootstrap interval.

    `same_model`: the estimates measure one and the same model, so equal values are one measurement repeated
    and say nothing about spread: then its bootstrap interval too. Not finite: the interval is NaN.
    """
    values = np.array([e.value for e in estimates])
    if len(values) == 1 or same_model and (values == values[0]).all():
        return Cell(estimates[0].value, estimates[0].low, estimates[0].high, len(values), bootstrap=True)
    mean, half = float(values.mean()), math.nan
    if np.isfinite(values).all():
        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Cell(mean, mean - half, mean + half, len(values), bootstrap=False)


def select_columns(found: Iterable[Column], wanted: Sequence[str]) -> list[Column]:
    """The columns that match `wanted`, in its order: `set/metric` or `evaluation/set/metric`, `*` allowed."""
    names = {"/".join(column): column for column in found}
    chosen: dict[Column, None] = {}
    for pattern in wanted:
        hits = [column for name, column in names.items() if fnmatchcase("/" + name, "*/" + pattern)]
        if not hits:
            what = f"No run has a column '{pattern}'.{nearest(pattern, names)}"
            raise UserError(what, f"Columns there are: {', '.join(names)}.")
        chosen |= dict.fromkeys(hits)
    return list(chosen)


def aggregate(runs: Sequence[Run], methods: Sequence[str] = (), columns: Sequence[str] = ()) -> list[Table]:
    """One table a (model, data). `methods`: the rows, in order (default: METHODS, then others by name)."""
    found = dict.fromkeys(column for run in runs for part in (run.before, run.after) for column in part)
    wanted = select_columns(found, columns) if columns else list(found)
    tables = []
    for model, data in dict.fromkeys((run.model, run.data) for run in runs):
        group = [run for run in runs if (run.model, run.data) == (model, data)]
        notes = []
        rows: dict[str, dict[int, Run]] = {ORIGINAL: {}}  # by seed
        for run in group:
            first = rows[ORIGINAL].setdefault(run.seed, run)
            if repr(run.before) != repr(first.before):  # repr: NaN is then equal to NaN
                notes.append(f"`original` differs at seed {run.seed}: {first.folder} used, not {run.folder}.")
            if not run.after:
                if run.method != "base":
                    notes.append(f"{run.folder} ({run.method}) was not measured after its stages: left out.")
                continue
            if old := rows.setdefault(run.method, {}).get(run.seed):
                notes.append(f"{run.method} has seed {run.seed} twice: {run.folder} used, not {old.folder}.")
            rows[run.method][run.seed] = run
        others = sorted(set(rows) - {ORIGINAL, *METHODS})
        order = [ORIGINAL, *(methods or [m for m in (*METHODS, *others) if m in rows])]
        cells: dict[str, dict[Column, Cell]] = {}
        for row in order:
            by_seed = [run for _, run in sorted(rows.get(row, {}).items())]
            parts = [run.before if row == ORIGINAL else run.after for run in by_seed]
            have = {c: [part[c] for part in parts if c in part] for c in wanted}
            cells[row] = {c: mean_over_seeds(values, row == ORIGINAL) for c, values in have.items() if values}
        tables.append(Table(model, data, wanted, cells, notes))
    return tables


def mark(table: Table) -> dict[tuple[str, Column], int]:
    """1 (best) or 2 (runner-up) by (row, column), among the methods; values shown alike share the mark."""
    methods = [row for row in table.rows if row != ORIGINAL]
    marks: dict[tuple[str, Column], int] = {}
    for column in table.columns:
        cells = [table.rows[row].get(column) for row in methods]
        ranks = rank(column[-1], [cell.value if cell else None for cell in cells])
        marks |= {(row, column): place for row, place in zip(methods, ranks, strict=True) if place in (1, 2)}
    return marks


def label(table: Table, column: Column) -> str:
    """`set/metric`, with the evaluation in front only where the table has several."""
    drop = len(column) > 1 and len({c[0] for c in table.columns}) == 1
    return "/".join(column[1:] if drop else column)


def footnotes(table: Table) -> list[str]:
    """What the numbers are, which cells are missing or of fewer seeds, and what `aggregate` left out."""

    def having(says: Callable[[Cell], bool]) -> str:
        named = []
        for row, cells in table.rows.items():
            hits = [column for column in table.columns if column in cells and says(cells[column])]
            whole = len(hits) == len(cells)
            named += [row] * bool(hits) if whole else [f"{row} {label(table, column)}" for column in hits]
        return ", ".join(named)

    def missing() -> str:
        gone = {c: [row for row, cells in table.rows.items() if cells and c not in cells] for c in table.columns}
        parts = [f"{label(table, column)} of {', '.join(rows)}" for column, rows in gone.items() if rows]
        return "; ".join([row for row, cells in table.rows.items() if not cells] + parts)

    most = max((cell.seeds for cells in table.rows.values() for cell in cells.values()), default=0)
    notes = {
        "Mean over seeds with its 95 % t-interval over seeds": having(lambda c: not c.bootstrap),
        "One seed only, so with the 95 % bootstrap interval over that run's examples": having(
            lambda c: c.bootstrap and c.seeds == 1
        ),
        "The same value at every seed, so with the 95 % bootstrap interval over examples": having(
            lambda c: c.bootstrap and c.seeds > 1
        ),
        f"Fewer than {most} seeds": having(lambda c: 1 < c.seeds < most),
        "Missing": missing(),
    }
    return [f"{what}: {which}." for what, which in notes.items() if which] + table.notes


def markdown(table: Table) -> str:
    """A heading, the table, and its footnotes: **best**, <u>runner-up</u>."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    marks, marked = mark(table), {1: "**{}**", 2: "<u>{}</u>", None: "{}"}
    lines = [f"### {table.model}, {table.data}", ""]
    lines.append(line(["method", *(f"{label(table, c)} {arrow(c[-1])}".strip() for c in table.columns)]))
    lines.append(line(["---", *("---:" for _ in table.columns)]))
    for row, cells in table.rows.items():
        shown = []
        for column in table.columns:
            cell = cells.get(column)
            value = marked[marks.get((row, column))].format(show_value(column[-1], cell.value if cell else None))
            shown.append(f"{value} {show_interval(column[-1], cell.low, cell.high) if cell else ''}".strip())
        lines.append(line([row, *shown]))
    return "\n".join([*lines, "", *(f"- {note}" for note in footnotes(table))]) + "\n"


def tex(text: str) -> str:
    """Escape for LaTeX; numbers like 1.2e+05 and >1e10 become powers of ten."""
    special = {"\\": r"\textbackslash{}", "~": r"\~{}", "^": r"\^{}"}
    text = re.sub(r"[\\{}$&#%_~^]", lambda m: special.get(m[0], "\\" + m[0]), text)
    text = re.sub(r"(-?\d\.\d)e([+-]\d+)", lambda m: rf"${m[1]}\times10^{{{int(m[2])}}}$", text)
    text = re.sub(r"([<>])(-?)1e10", r"$\1\g<2>10^{10}$", text)
    return text.replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$")


def latex(table: Table) -> str:
    r"""A booktabs tabular with its footnotes: \textbf{best}, \underline{runner-up}."""
    marks, marked = mark(table), {1: r"\textbf{%s}", 2: r"\underline{%s}", None: "%s"}
    head, rules, at = [tex(f"{table.model}, {table.data}")], [], 2
    for group, members in groupby(table.columns, key=lambda column: label(table, column).rpartition("/")[0]):
        span = len(list(members))
        head.append(rf"\multicolumn{{{span}}}{{c}}{{{tex(group)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
        at += span
    lines = [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule", " & ".join(head) + r" \\"]
    metrics = [tex(f"{column[-1]} {arrow(column[-1])}".strip()) for column in table.columns]
    lines += ["".join(rules), " & ".join(["", *metrics]) + r" \\"]
    lines.append(r"\midrule")
    for row, cells in table.rows.items():
        shown = []
        for column in table.columns:
            cell = cells.get(column)
            value = marked[marks.get((row, column))] % tex(show_value(column[-1], cell.value if cell else None))
            interval = tex(show_interval(column[-1], cell.low, cell.high)) if cell else ""
            shown.append(f"{value} {{\\scriptsize {interval}}}" if interval else value)
        lines.append(" & ".join([tex(row), *shown]) + r" \\")
    notes = [rf"\par{{\footnotesize {tex(note)}}}" for note in footnotes(table)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.tables", description=__doc__)
    parser.add_argument("folder", type=Path, help="a run's or a multirun's output folder")
    parser.add_argument("--columns", nargs="+", default=(), help="[evaluation/]set/metric, * allowed")
    parser.add_argument("--methods", nargs="+", default=(), help="the rows below `original`, in this order")
    parser.add_argument("--latex", action="store_true", help="LaTeX (booktabs) instead of Markdown")
    args = parser.parse_args(argv)
    try:
        tables = aggregate(collect(args.folder), args.methods, args.columns)
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error, file=sys.stderr)
        return 2
    print("\n".join((latex if args.latex else markdown)(table) for table in tables), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
