"""How little of an answer must be given before the model says the rest of it."""

from __future__ import annotations

from unlearnkit.measures.exact_memorisation import ExactMemorisation, counted
from unlearnkit.records.record import Record


class ExtractionStrength(ExactMemorisation):
    """1 - k / L, where k of an answer's L tokens must be given for argmax to hit all others (Carlini et al. 2021).

    0 where the last token is missed.

    Args:
        as_published: without the answer's last token, its end, and at least 1 / L, as OpenUnlearning's code has it.
    """

    def value(self, record: Record, role: str | None) -> float | None:
        hits = counted(record.answer_hits, self.as_published)
        if not hits:
            return None
        prefix = next((place for place in range(len(hits), 0, -1) if not hits[place - 1]), 0)
        return 1 - min(prefix, len(hits) - self.as_published) / len(hits)
