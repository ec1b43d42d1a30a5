"""Rows of a built data set: equal questions once, split within each name, in the schema of KnowUnDo's files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from unlearnkit.build.parse import fold

SCOPES = ("unlearn", "retention")


@dataclass(frozen=True)
class Row:
    """A question about `name` and its answer; `type` decided `scope`, one of `SCOPES`."""

    name: str
    question: str
    answer: str
    type: str
    scope: str


@dataclass
class Made:
    """What a name gave: its rows, the rows dropped as equal questions, and the facts they rest on."""

    rows: list[Row] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def unique(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """(the first of each question, the rows that repeat one), whatever the case and the spacing."""
    by_question: dict[str, Row] = {}
    dropped = []
    for row in rows:
        if by_question.setdefault(fold(row.question), row) is not row:
            dropped.append(row)
    return list(by_question.values()), dropped


def validation_rows(rows: list[Row], share: float, seed: int | None) -> set[Row]:
    """About `share` of a scope's rows, out of every name alike, drawn by (seed, question) alone.

    Rounded over the names and not for each, so that many small names still give their share; one at least, where
    there are two rows.
    """
    chosen: list[Row] = []
    target = 0.0
    for name in dict.fromkeys(row.name for row in rows):
        ranked = sorted((row for row in rows if row.name == name), key=lambda row: _rank(row, seed))
        target += len(ranked) * share
        chosen += ranked[: math.ceil(target - 0.5) - len(chosen)]
    if not chosen and len(rows) > 1:
        chosen = [min(rows, key=lambda row: _rank(row, seed))]
    return set(chosen)


def files(rows: list[Row], share: float, seed: int | None) -> dict[str, list[dict[str, str]]]:
    """File name -> its rows {text, labels}, in the order they were made."""
    parts: dict[str, list[Row]] = {}
    for scope in SCOPES:
        mine = [row for row in rows if row.scope == scope]
        validation = validation_rows(mine, share, seed)
        parts[f"{scope}_train.json"] = [row for row in mine if row not in validation]
        parts[f"{scope}_val.json"] = [row for row in mine if row in validation]
    parts["full.json"] = rows
    return {name: [{"text": row.question, "labels": row.answer} for row in part] for name, part in parts.items()}


def _rank(row: Row, seed: int | None) -> str:
    return hashlib.sha256(f"{seed} {fold(row.question)}".encode()).hexdigest()
