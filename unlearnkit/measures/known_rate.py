"""How many facts a model says: the attribute is its likeliest answer, token by token."""

from __future__ import annotations

from unlearnkit.measures.interval import Estimate, share
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.records.record import Record


def known_rate(records: list[Record], seed: int = 0) -> Estimate:
    """Share of the facts whose attribute argmax hits at every token (teacher-forced)."""
    return share(_known(records), seed)


def forgotten_rate(records: list[Record], seed: int = 0) -> Estimate:
    """1 - `known_rate`."""
    return share([1 - known for known in _known(records)], seed)


def _known(records: list[Record]) -> list[float]:
    return per_prompt((record, all(record.answer_hits)) for record in records if record.answer_hits)
