"""Several samples of one prompt are one observation: they are averaged before anything is said of prompts."""

from __future__ import annotations

from collections.abc import Iterable

from unlearnkit.records.record import Record


def per_prompt(rows: Iterable[tuple[Record, float]]) -> list[float]:
    """The mean over a prompt's records, a prompt at a time, in the order they come."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for record, value in rows:
        found.setdefault((record.set, record.id, record.prompt), []).append(float(value))
    return [sum(values) / len(values) for values in found.values()]
