"""Data with two scopes (Tian et al. 2024): the unlearn scope feeds `forget`, the retention scope `retain`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unlearnkit.data import mischief
from unlearnkit.data.examples import Data, Example, nonempty, read_jsonl
from unlearnkit.errors import UserError

SCOPES = ("unlearn", "retention")
Splits = dict[str, list[Example]]  # train, validation, test


def scope_data(name: str, scopes: dict[str, Splits], general: Iterable[Example]) -> Data:
    """Streams `forget`, `retain`, `general` and `target` (every row of both scopes), sets `unlearn`, `retention`.

    Args:
        scopes: unlearn and retention, each by split. Training sees `train` alone; `validation` and `test` hold
            other questions about the same people or books.
        general: out-of-distribution examples.

    Raises:
        UserError: a scope or one of its splits has no rows.
    """
    for scope in SCOPES:
        for split, rows in scopes[scope].items():
            if not rows:
                raise UserError(
                    f"The {scope} scope of '{name}' has no {split} rows",
                    f"Give such rows in data.path=, or another size with data.validation= ({split} is never empty)",
                )
    streams = {
        "forget": scopes["unlearn"]["train"],
        "retain": scopes["retention"]["train"],
        "general": nonempty("general", list(general), "Give rows in data.general="),
        "target": [row for scope in SCOPES for rows in scopes[scope].values() for row in rows],
    }
    sets = {scope: {split: scopes[scope][split] for split in ("validation", "test")} for scope in SCOPES}
    return Data(name, streams, sets)


def general_examples(path: str | None = None) -> list[Example]:
    """Out-of-distribution questions with answers: a JSONL file's, or the embedded ones of `mischief`."""
    if path is None:
        return mischief.load().streams["retain"]
    rows = read_jsonl(Path(path).expanduser(), ("prompt", "response"))
    return [Example(f"general-{number:05d}", row["prompt"], row["response"]) for number, row in enumerate(rows, 1)]


def hold_out(rows: list[Example], count: int) -> tuple[list[Example], list[Example]]:
    """(the rest, `count` rows evenly spaced over the list), both in order: the same rows in every run.

    Raises:
        UserError: fewer rows than that.
    """
    if not 0 <= count < len(rows):
        raise UserError(
            f"{count} validation rows cannot be held out of {len(rows)} training rows",
            f"Set data.validation= to 0 to {len(rows) - 1}",
        )
    places = {int(place) for place in np.linspace(0, len(rows) - 1, count).round()}
    return [row for place, row in enumerate(rows) if place not in places], [rows[place] for place in sorted(places)]
