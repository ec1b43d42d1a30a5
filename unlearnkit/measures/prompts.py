"""Several samples of one prompt are one observation: they are averaged before anything is said of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from unlearnkit.records.record import Record

Key = TypeVar("Key")


def per_prompt(rows: Iterable[tuple[Record, float]]) -> list[float]:
    """The mean over a prompt's records, a prompt at a time, in the order they come."""
    return list(by_prompt(rows, lambda record: (record.set, record.id, record.prompt)).values())


def by_prompt(rows: Iterable[tuple[Record, float]], key: Callable[[Record], Key]) -> dict[Key, float]:
    """The same, by what tells one prompt from another."""
    found: dict[Key, list[float]] = {}
    for record, value in rows:
        found.setdefault(key(record), []).append(float(value))
    return {own: sum(values) / len(values) for own, values in found.items()}
