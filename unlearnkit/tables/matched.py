"""Methods at matched utility: each at the checkpoint that forgets the most and keeps a share of the start's utility.

A checkpoint, and where several were tried its learning rate, is chosen on curves of the validation split and reported
from the same run's curve on the test split, or where it has none from a run of the same settings whose curve is of
that. Nothing is read between two measurements, and the start itself is a checkpoint, so that a method which keeps
nothing stands there with what the start does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from unlearnkit.errors import UserError
from unlearnkit.identity import config_in
from unlearnkit.measures.columns import Column, share_of_start
from unlearnkit.measures.interval import Estimate
from unlearnkit.tables.aggregate import Table, aggregate, select_columns
from unlearnkit.tables.reading import SPLIT, TEST, VALIDATION, Points, Run, curves_of, points_of
from unlearnkit.tables.render_markdown import markdown
from unlearnkit.tables.variants import name_variants

RATE = "train.arguments.learning_rate"
SOURCE = "source"  # of a view: the run's own folder
BOTH = f"[{VALIDATION},{TEST}]"
UTILITY = ("known_answers", "success", "answer_perplexity")  # of the retain side, the first that is there
Place = tuple[int, float]  # a step and a learning rate


@dataclass(frozen=True)
class Choice:
    """Where a method is reported, and the mean share of the start's utility that it keeps there on validation."""

    step: int
    rate: float
    share: float


def matched(
    runs: Sequence[Run],
    at: float,
    forget: str | None = None,
    keep: str | None = None,
    methods: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> list[Table]:
    """One table a (model, data), of test numbers at what was chosen on validation.

    Args:
        at: the share of the start's utility that must be kept, above 0 and up to 1.
        forget: the column that is to be best, `set/metric`; None: the first of the forget side.
        keep: the column that utility is; None: the first of `UTILITY` on the retain side.
        methods, columns: see `aggregate`.

    Raises:
        UserError: a share that is none, or no run with a curve on validation and one of its own or its twin's on test.
    """
    if not 0 < at <= 1:
        raise UserError(f"{at} is no share of the start's utility", "Give shares above 0 and up to 1, such as 0.9 0.8")
    variants = name_variants([run for run in runs if run.raw.get("curve")], ignored=(SPLIT, RATE))
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in itertools.chain.from_iterable(map(views, variants)):
        groups.setdefault((run.model, run.data, run.method), []).append(run)
    reported, notes = list[Run](), dict[tuple[str, str], list[str]]()
    for (model, data, method), group in groups.items():
        chosen, note = _of_method(group, at, forget, keep)
        reported += chosen
        notes.setdefault((model, data), []).append(f"{method}: {note}")
    if not reported:
        raise UserError(
            "No run there has curves on validation and on test"
            + "".join(f"; {note}" for own in notes.values() for note in own),
            f"Run each cell with '{SPLIT}={BOTH}' and eval_every= some steps",
        )
    tables = aggregate(reported, methods, columns)
    for table in tables:
        table.notes += notes.get((table.model, table.data), [])
    return tables


def text_of(
    runs: Sequence[Run],
    shares: Sequence[float],
    forget: str | None = None,
    keep: str | None = None,
    methods: Sequence[str] = (),
    columns: Sequence[str] = (),
    render: Callable[[Table], str] = markdown,
) -> str:
    """The tables of every share below each other; see `matched`."""
    parts = []
    for at in shares:
        tables = matched(runs, at, forget, keep, methods, columns)
        heading = f"Each method at the checkpoint, chosen on validation, that keeps {at:.0%} of the start's utility:"
        parts += [heading, "", *map(render, tables)]
    return "\n".join(parts)


def has_both(run: Run) -> bool:
    """Whether its curves are of validation and of test."""
    return {VALIDATION, TEST} <= curves_of(run).keys()


def views(run: Run) -> list[Run]:
    """A run once for each split that its curve was measured on, as if it had been measured on that alone."""
    (first, rows), *others = curves_of(run).items()
    beside = [
        replace(run, folder=run.folder / name, raw={**run.raw, "curve": curve, SPLIT: name, SOURCE: run.folder})
        for name, curve in others
    ]
    return [replace(run, raw={**run.raw, "curve": rows, SPLIT: first}), *beside]


def _of_method(group: Sequence[Run], at: float, forget: str | None, keep: str | None) -> tuple[list[Run], str]:
    """The test runs with the chosen checkpoint's numbers in place of the end's, and what was chosen."""
    configs = {run.folder: config_in(run.raw.get(SOURCE, run.folder)) for run in group}
    rates = {folder: float(config["train"]["arguments"]["learning_rate"]) for folder, config in configs.items()}
    sides = {name: [run for run in group if run.raw[SPLIT] == name] for name in (VALIDATION, TEST)}
    if lacking := next((name for name, own in sides.items() if not own), None):
        return [], f"left out, for no run of it has a curve on {lacking}"
    curves = {run.folder: points_of(run) for run in group}
    first, *others = curves.values()
    known = [column for column in first if all(column in other for other in others)]
    best, utility = _column(known, forget, "forget"), _column(known, keep, "retain")
    there = _places(sides[TEST], curves, rates, best)
    choice = choose(sides[VALIDATION], curves, rates, best, utility, at, there)
    if choice is None:
        name = "/".join(utility)
        return [], f"left out, for on validation the start's {name} is not above 0: nothing is a share of it"
    chosen = [
        replace(run, folder=run.folder / "matched", before=_at(curves[run.folder], 0), after=_at(own, choice.step))
        for run in sides[TEST]
        if rates[run.folder] == choice.rate and choice.step in (own := curves[run.folder])[best]
    ]
    what = "the start itself" if choice.step == 0 else f"step {choice.step} at a rate of {choice.rate:g}"
    return chosen, f"{what}, which keeps {choice.share:.0%} of {'/'.join(utility)} on validation"


def choose(
    runs: Sequence[Run],
    curves: Mapping[Path, Mapping[Column, Points]],
    rates: Mapping[Path, float],
    best: Column,
    utility: Column,
    at: float,
    there: Sequence[Place],
) -> Choice | None:
    """Of the places that can be reported, the best mean over seeds of those that keep enough; of equal ones the first.

    None where a start's utility has no share that could be kept, as of a seed that knows nothing.

    Args:
        runs: of one method, with their curves on validation.
        curves, rates: of each run, by its folder.
        there: the places that the test runs have measured.
    """
    if any(
        math.isnan(share_of_start(utility, start, start))
        for run in runs
        if (start := curves[run.folder][utility].get(0))
    ):
        return None
    sign = 1 if best.display.better == "higher" else -1
    candidates: list[tuple[float, Place, float]] = []
    for place in sorted(set(_places(runs, curves, rates, best)) & set(there)):
        own = [curves[run.folder] for run in runs if rates[run.folder] == place[1]]
        shares = [share_of_start(utility, points[utility][place[0]], points[utility][0]) for points in own]
        values = [_even(best, points[best][place[0]]) for points in own]
        mean = fmean(shares)
        if mean >= at and not math.isnan(fmean(values)):
            candidates.append((-sign * fmean(values), place, mean))
    if not candidates:
        raise UserError("The curves have no common step, not even the start", "Run with eval_every= a number of steps")
    _, (step, rate), mean = min(candidates)
    return Choice(step, rate, mean)


def _even(column: Column, estimate: Estimate) -> float:
    """On the scale on which it is averaged."""
    if not column.display.scale.geometric:
        return estimate.value
    return math.log(estimate.value) if estimate.value > 0 else math.nan


def _places(
    runs: Sequence[Run], curves: Mapping[Path, Mapping[Column, Points]], rates: Mapping[Path, float], best: Column
) -> list[Place]:
    """The steps that all seeds of a rate have measured."""
    by_rate: dict[float, list[set[int]]] = {}
    for run in runs:
        by_rate.setdefault(rates[run.folder], []).append(set(curves[run.folder].get(best, {})))
    return [(step, rate) for rate, steps in by_rate.items() for step in set.intersection(*steps)]


def _at(points: Mapping[Column, Points], step: int) -> dict[Column, Estimate]:
    return {column: own[step] for column, own in points.items() if step in own}


def _column(known: Sequence[Column], pattern: str | None, role: str) -> Column:
    """Raises:
    UserError: the curves do not measure it, or it has no direction.
    """
    if pattern is not None:
        (column, *_) = select_columns(known, [pattern])
        if column.display.better is None:
            raise UserError(f"Nobody says which way '{pattern}' is better", "Choose another column")
        return column
    sided = [column for column in known if column.display.role == role and column.display.better]
    if role == "retain":
        sided = sorted((c for c in sided if c[-1] in UTILITY), key=lambda column: UTILITY.index(column[-1]))
    if not sided:
        raise UserError(
            f"The curves measure nothing of the {role} side that could be matched",
            f"Name a column with --{'keep' if role == 'retain' else 'forget'}, or measure one on the curves",
        )
    return sided[0]
