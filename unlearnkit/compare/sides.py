"""The runs that are compared, each with what was measured of it last, and the test rows that it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from unlearnkit.errors import UserError, beginning
from unlearnkit.identity import ABSENT, config_in, flat, renamed
from unlearnkit.measures.columns import START, Column
from unlearnkit.measures.interval import Estimate
from unlearnkit.records.record import Record, read_parquet, records_path
from unlearnkit.secrets import redacted
from unlearnkit.tables.reading import Run, read_run

BASE = "base"  # the method of a run that has none: it was measured once
MOST_SHOWN = 3  # differences in an error's line
# Of a config: what decides which rows a run is asked.
ASKING = ("data.", "eval.", "inputs.data_rows", "seed")
Rows = dict[str, dict[tuple[str, str, str], list[Record]]]  # set -> (id, prompt, the data's answer) -> its samples


@dataclass
class Side:
    """A run, under a letter.

    Args:
        numbers: of the end; of a run without a method, of its model.
    """

    name: str
    run: Run
    numbers: dict[Column, Estimate]
    _rows: dict[str, Rows] = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml with today's names."""
        config = config_in(self.run.folder)
        if not config:
            what = f"{self.run.folder / 'config.yaml'} is missing or no run's config."
            raise UserError(what, "Restore it from a copy, or compare other runs.")
        return config

    @property
    def description(self) -> str:
        run = self.run
        return f"{run.method} on {run.model}, {run.data}, seed {run.seed}"

    @property
    def parts(self) -> list[str]:
        """What has records: the evaluations, each under the attacks, and those of later; not what a stage cost."""
        return list(dict.fromkeys(part_of(c) for c in self.numbers if c[-3:-2] and c[-3] in self.evaluations(c)))

    def evaluations(self, column: Column) -> Mapping[str, Any]:
        """The settings of the evaluations that were measured together with a column."""
        later = self.run.raw.get("measured", {}).get(column[0])
        return (renamed(later) if later else self.config).get("eval") or {}

    def rows(self, part: str) -> Rows:
        """The records of a part (see `part_of`) by set and test row.

        Raises:
            UserError: they cannot be read; without them nobody knows what the run was asked.
        """
        if part not in self._rows:
            path = self._path(part)
            if not path.is_file():
                fix = "Without a run's records nothing tells which rows it was asked: restore them from a copy."
                raise UserError(f"{path} is missing.", fix)
            rows: Rows = {}
            for record in read_parquet(path):
                key = (record.id, record.prompt, record.answer)
                rows.setdefault(record.set, {}).setdefault(key, []).append(record)
            self._rows[part] = rows
        return self._rows[part]

    def _path(self, part: str) -> Path:
        attack, _, evaluation = part.rpartition("/")
        if self.run.after:
            return records_path(self.run.folder, attack or "after", evaluation)
        return records_path(self.run.folder, f"{attack}/{START}" if attack else "before", evaluation)


def part_of(column: Column) -> str:
    """`safety`, or `system/safety` under the attack `system`."""
    return "/".join(column[:-2])


def read_sides(folders: Sequence[Path]) -> list[Side]:
    """The runs under the letters A, B, C and on.

    Raises:
        UserError: fewer than two, too many, what is no run's folder, or a run that was not measured at its end.
    """
    if not 2 <= len(folders) <= len(ascii_uppercase):
        fix = "python -m unlearnkit.compare FOLDER FOLDER; `python -m unlearnkit.runs` lists the runs there are"
        raise UserError(f"A comparison is of 2 to {len(ascii_uppercase)} runs, and {len(folders)} were given.", fix)
    sides = []
    for letter, folder in zip(ascii_uppercase, folders, strict=False):
        run = read_run(folder)
        if not run.after and run.method != BASE:
            fix = f"Finish it first: give its command again with hydra.run.dir={folder}"
            raise UserError(f"{folder} ({run.method}) was not measured after its stages yet.", fix)
        sides.append(Side(letter, run, run.after or run.before))
    return sides


def check_rows(first: Side, other: Side) -> None:
    """Both were asked the same, wherever both were asked.

    Raises:
        UserError: a set of both has rows in one run that it has not in the other, or there is no set of both.
    """
    shared = [part for part in first.parts if part in other.parts]
    sets = [
        (f"{part}/{name}", mine, theirs[name])
        for part in shared
        for theirs in [other.rows(part)]
        for name, mine in first.rows(part).items()
        if name in theirs
    ]
    differences = [words for name, mine, theirs in sets if (words := _apart(name, mine, theirs, first, other))]
    if not sets:
        differences = [f"no set of one is a set of the other ({_sets(first)}; {_sets(other)})"]
    if not differences:
        return
    more = f" and {len(differences) - MOST_SHOWN} sets more" if len(differences) > MOST_SHOWN else ""
    raise UserError(
        f"{first.run.folder} ({first.name}) and {other.run.folder} ({other.name}) were asked different test rows: "
        f"{'; '.join(differences[:MOST_SHOWN])}{more}{_why(first, other)}".replace("\n", " "),
        "Compare runs of one data set with the same eval and limits, or measure one of them on the other's rows",
    )


def _why(first: Side, other: Side) -> str:
    """What their configs say differently of the rows that are asked; the data's keys come before the evaluation's."""
    mine, theirs = (flat(redacted(side.config)) for side in (first, other))
    keys = [key for key in dict.fromkeys([*mine, *theirs]) if mine.get(key, ABSENT) != theirs.get(key, ABSENT)]
    decisive = [key for key in keys if key.startswith(ASKING) and not key.endswith("_target_")]
    ordered = sorted(decisive, key=lambda key: key.startswith("eval."))
    values = [
        (key, *("absent" if (v := c.get(key, ABSENT)) is ABSENT else v for c in (mine, theirs))) for key in ordered
    ]
    differences = [f"{key} is {one} in {first.name}, {two} in {other.name}" for key, one, two in values[:MOST_SHOWN]]
    return f". Their configs: {'; '.join(differences)}" if differences else ""


def _sets(side: Side) -> str:
    sets = dict.fromkeys("/".join(column[:-1]) for column in side.numbers if part_of(column) in side.parts)
    return f"{side.name}: {', '.join(sets) or 'none'}"


def _apart(name: str, mine: Mapping[Any, Any], theirs: Mapping[Any, Any], first: Side, other: Side) -> str:
    """What rows of a set one run has and the other has not, in words; empty where there are none."""
    alone = [(side.name, rows) for side, rows in ((first, _less(mine, theirs)), (other, _less(theirs, mine))) if rows]
    if not alone:
        return ""
    row_id, prompt, answer = alone[0][1][0]
    counts = " and ".join(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} only in {side}" for side, rows in alone)
    return f"{name} has {counts}, such as {row_id} ({beginning(prompt or answer, 60)!r})"


def _less(rows: Mapping[Any, Any], others: Mapping[Any, Any]) -> list[Any]:
    return [key for key in rows if key not in others]
