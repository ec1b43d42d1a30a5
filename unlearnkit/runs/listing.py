"""The runs that lie in folders, finished or not: what each is, chosen by what its config says, and in an order."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from unlearnkit.errors import UserError, nearest
from unlearnkit.identity import config_in, flat
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import only_in_figures
from unlearnkit.measures.interval import Estimate
from unlearnkit.tables.aggregate import select_columns
from unlearnkit.tables.reading import read_run

FIELDS = ("method", "model", "data", "seed", "finished", "minutes", "folder")
MOST_CHOSEN = 4  # columns, where none are asked for


@dataclass(frozen=True)
class Listed:
    """A run.

    Args:
        finished: all that it is to leave behind is there.
        minutes: None where it has written no numbers yet.
        numbers: of its end, or of its start where it has not come further.
    """

    folder: Path
    method: str
    model: str
    data: str
    seed: int
    finished: bool
    minutes: float | None = None
    numbers: Mapping[Column, Estimate] = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Dotted key -> value, with today's names; empty where it cannot be read."""
        config = config_in(self.folder)
        return flat(config) if config else {}

    def field(self, key: str) -> Any:
        """What it is called by in FIELDS, or what its config says."""
        return getattr(self, key) if key in FIELDS else self.config.get(key)


def find(folders: Sequence[Path]) -> tuple[list[Listed], list[str]]:
    """The runs at or below folders, run 2 before run 10; and why others cannot be read, a line each."""
    places = {path.parent for folder in folders for path in folder.rglob("metrics.json")}
    places |= {
        path.parent for folder in folders for path in folder.rglob("config.yaml") if (path.parent / "records").is_dir()
    }
    runs, damaged = [], []
    for place in sorted(places, key=lambda path: _natural(str(path))):
        try:
            runs.append(read(place))
        except UserError as error:
            damaged.append(error.what)
    return runs, damaged


def read(folder: Path) -> Listed:
    """One run; of one without numbers, what its config says.

    Raises:
        UserError: it is damaged, or no run's folder.
    """
    if (folder / "metrics.json").is_file():
        run = read_run(folder)
        about = run.raw["run"]
        minutes = about.get("minutes")
        known = float(minutes) if isinstance(minutes, int | float) else None
        finished = bool(about.get("finished", True))  # an earlier version wrote its numbers at the end
        numbers = run.after or run.before
        return Listed(folder, run.method, run.model, run.data, run.seed, finished, known, numbers)
    begun = Listed(folder, "", "", "", 0, False)
    try:
        method, model, data = (str(begun.config[key]) for key in ("method", "model.name", "data.name"))
        return Listed(folder, method, model, data, int(begun.config["seed"]), finished=False)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder}/config.yaml is no run's config.", "Restore it from a copy.") from None


def chosen(runs: Sequence[Listed], filters: Sequence[str]) -> list[Listed]:
    """The runs of which every KEY=VALUE holds; * and ? stand for any text in a value.

    Raises:
        UserError: what is no KEY=VALUE, or a key that no run has.
    """
    selected = list(runs)
    for words in filters:
        key, is_one, value = words.partition("=")
        if not is_one or not key:
            raise UserError(f"'{words}' is no KEY=VALUE.", "Give a filter such as --filter method=npo")
        known = dict.fromkeys([*FIELDS, *(key for run in runs for key in run.config)])
        if runs and key not in known:
            what = f"No run has a key '{key}'.{nearest(key, known)}"
            raise UserError(what, f"Give one of {', '.join(FIELDS)}, or a dotted key of the runs' config.yaml.")
        selected = [run for run in selected if _is(run.field(key), value, key in FIELDS or key in run.config)]
    return selected


def _is(value: Any, pattern: str, there: bool) -> bool:
    if not there:
        return False
    if isinstance(value, bool):
        return pattern.lower() in (("true", "yes") if value else ("false", "no"))
    if isinstance(value, int | float):
        try:
            return float(pattern) == value
        except ValueError:
            return False
    return fnmatchcase("null" if value is None else str(value), pattern)


def columns(runs: Sequence[Listed], patterns: Sequence[str]) -> list[Column]:
    """The numbers that are shown: what was asked for, or of each evaluation the first on either side.

    Raises:
        UserError: a pattern that no run has a column for.
    """
    available = list(dict.fromkeys(column for run in runs for column in run.numbers))
    if patterns:
        return select_columns(available, patterns) if available else []
    first: dict[tuple[str, ...], Column] = {}
    for column in available:
        if column.display.better and column.display.role in ("forget", "retain") and not only_in_figures(column[-1]):
            first.setdefault((*column[:-2], column.display.role), column)
    return list(first.values())[:MOST_CHOSEN] or [c for c in available if not only_in_figures(c[-1])][:2]


def ordered(runs: Sequence[Listed], by: str, reverse: bool = False) -> list[Listed]:
    """By one of FIELDS, a number's column or a key of the configs; runs without it come last.

    Raises:
        UserError: nothing of that name.
    """
    keys = {key for run in runs for key in run.config}
    values: list[Any]
    if by in FIELDS or by in keys:
        values = [run.field(by) for run in runs]
    else:
        available = list(dict.fromkeys(column for run in runs for column in run.numbers))
        hits = [column for column in available if fnmatchcase("/" + "/".join(column), "*/" + by)]
        if runs and not hits:
            known = [*FIELDS, *("/".join(column) for column in available)]
            raise UserError(f"No run has a column '{by}'.{nearest(by, known)}", f"There are: {', '.join(known)}")
        numbers = [next((run.numbers[column] for column in hits if column in run.numbers), None) for run in runs]
        values = [None if number is None or math.isnan(number.value) else number.value for number in numbers]
    there = [number for number, value in enumerate(values) if value is not None]
    there.sort(key=lambda number: _rank(values[number]), reverse=reverse)
    return [runs[number] for number in (*there, *(n for n, value in enumerate(values) if value is None))]


def _rank(value: Any) -> tuple[int, float, list[str]]:
    """Numbers before texts."""
    return (0, float(value), []) if isinstance(value, int | float) else (1, 0.0, [_natural(str(value))])


def _natural(text: str) -> str:
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), text)


def plain(runs: Iterable[Listed], shown: Sequence[Column]) -> list[dict[str, Any]]:
    """As JSON has them."""
    return [
        {**{key: run.field(key) for key in FIELDS}, "folder": str(run.folder)}
        | {
            "numbers": {
                "/".join(column): {"value": e.value, "low": e.low, "high": e.high, "n": e.n}
                for column in shown
                if (e := run.numbers.get(column))
            }
        }
        for run in runs
    ]
