"""What is known of a text, asked behind answered questions."""

from __future__ import annotations

from unlearnkit.measures.rouge_l import RougeL
from unlearnkit.records.record import Record

STOPS = ("\n\n", "\nQuestion", "Question:")


class KnowMem(RougeL):
    """ROUGE-L F1 of a response up to a question of the model's own (Shi et al. 2025, MUSE, section 3.1)."""

    def value(self, record: Record, role: str | None) -> float | None:
        return self.overlap(record.answer, answered(record.response)) if record.tokens else None


def answered(response: str) -> str:
    """What stands before the first blank line or next question."""
    for stop in STOPS:
        response = response.partition(stop)[0]
    return response
