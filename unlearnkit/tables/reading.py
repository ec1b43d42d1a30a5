"""Runs read back from their metrics.json."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unlearnkit.data.splits import splits_of
from unlearnkit.errors import UserError
from unlearnkit.identity import config_in
from unlearnkit.measures.columns import Column, before_and_after, flatten
from unlearnkit.measures.display import arrow, display_from
from unlearnkit.measures.interval import Estimate
from unlearnkit.sums import check
from unlearnkit.tables.published import today

Points = dict[int, Estimate]  # by step
SPLIT, VALIDATION, TEST = "curve_split", "validation", "test"


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


def read_run(folder: Path) -> Run:
    """Read `folder`/metrics.json; `UserError` where it is missing or not what a run writes."""
    path = folder / "metrics.json"
    for name in ("metrics.json", "config.yaml"):
        check(folder / name, "Restore it from a copy, or start the run's command again, which says how it is mended")
    fix = "Give a folder that `python -m unlearnkit` wrote and finished, such as outputs/<date>/<time>."
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        run = raw["run"]
        model, data, method = (str(run[key]) for key in ("model", "data", "method"))
        before, after = before_and_after(raw)
        if "columns" not in raw:  # an earlier version
            before, after = today(before), today(after)
        made = Run(folder, model, data, method, int(run["seed"]), before, after, raw)
        _read_through(made)
        return made
    except OSError:
        raise UserError(f"{folder} is no run folder: it has no readable metrics.json.", fix) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"{path} is not a run's metrics.json ({type(error).__name__}: {error})."
        raise UserError(what, fix) from None


def _read_through(run: Run) -> None:
    """What is read of a run later is what a run writes, too.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: it is not.
    """
    points_of(run)
    for rows in curves_beside(run).values():
        for row in rows:
            curve_numbers(run, row)
    for stored in (run.raw.get("columns") or {}).values():
        arrow(display_from(stored))
    for moment in run.raw.get("moments") or ():
        flatten(moment["numbers"], run.raw.get("columns"))
    for name in ("chosen", "measured"):
        for part in (run.raw.get(name) or {}).values():
            part.items()
    for recovery in (run.raw.get("recovered") or {}).values():
        for sets in recovery.get("shares", {}).values():
            for numbers in (numbers for measures in sets.values() for numbers in measures.values()):
                known = [numbers.get(name) for name in ("start", "unlearned", "attacked")]
                math.fsum(value for value in (*known, *(numbers.get("share") or {}).values()) if value is not None)
                range(numbers.get("n", 0))


def points_of(run: Run) -> dict[Column, Points]:
    """A run's curves; the steps of a later stage go on counting from those of the stage before."""
    curves: dict[Column, Points] = {}
    stage, start, last = None, 0, 0
    for row in run.raw.get("curve") or []:
        if row["stage"] != stage:
            stage, start = row["stage"], last
        last = start + int(row["step"])
        for column, estimate in curve_numbers(run, row).items():
            curves.setdefault(column, {})[last] = estimate
    return curves


def curve_numbers(run: Run, row: dict[str, Any]) -> dict[Column, Estimate]:
    """Of one point of a run's curves."""
    shown = run.raw.get("columns")
    numbers = flatten(row["metrics"], shown)
    return numbers if shown is not None else today(numbers)


def curves_of(run: Run) -> dict[str, list[dict[str, Any]]]:
    """A run's curve on each split that it was measured on, the one that settings are chosen on first."""
    first, *_ = splits_of(config_in(run.folder).get(SPLIT, VALIDATION))
    return {first: run.raw.get("curve") or [], **curves_beside(run)}


def curves_beside(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The curves of the other splits, as the points themselves name them."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in run.raw.get("curve") or []:
        for name, numbers in row.get("beside", {}).items():
            curves.setdefault(name, []).append({**row, "metrics": numbers})
    return curves


def on_test(run: Run) -> Run:
    """The run with its curve on test in the first one's place, where it has both: what a paper's figures are of."""
    curve = curves_beside(run).get(TEST)
    return replace(run, raw={**run.raw, "curve": curve}) if curve else run


def collect(folder: Path) -> list[Run]:
    """Every run at or below `folder`, in natural order of paths (run 2 before run 10)."""
    files = folder.rglob("metrics.json")
    paths = sorted(files, key=lambda path: re.sub(r"\d+", lambda digits: digits[0].zfill(20), str(path)))
    if not paths:
        raise UserError(
            f"There is no metrics.json in or below {folder}.",
            "Give the output folder of a run or of a multirun, such as multirun/<date>/<time>.",
        )
    return [read_run(path.parent) for path in paths]
