"""How much of an answer the model says word for word, were it given all that comes before each token."""

from __future__ import annotations

import numpy as np

from unlearnkit.measures.base import GONE, Measure
from unlearnkit.records.record import Record


class ExactMemorisation(Measure):
    """Share of an answer's tokens that teacher-forced argmax hits (Tirumala et al. 2022), averaged over answers.

    `Success` turned the other way on the forget side.

    Args:
        as_published: without the answer's last token, its end, as OpenUnlearning's code has it.
    """

    reads = ("answer_hits",)
    better = GONE

    def __init__(self, as_published: bool = False):
        self.as_published = as_published

    def value(self, record: Record, role: str | None) -> float | None:
        hits = counted(record.answer_hits, self.as_published)
        return float(np.mean(hits)) if hits else None


def counted(tokens: list, as_published: bool) -> list:
    """What is there of each token, of those that count."""
    return tokens[:-1] if as_published else tokens
