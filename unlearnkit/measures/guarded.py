"""Does a guard in front of a model let the right questions through?"""

from unlearnkit.measures.base import HIGHER, Measure
from unlearnkit.measures.success import sided
from unlearnkit.records.record import Record


class Guarded(Measure):
    """Share of questions that a classifier lets through, and on the forget side stops (Tian et al. 2024, finding 3)."""

    reads = ("let_through",)
    better = HIGHER
    rate, decimals = True, 1

    def value(self, record: Record, role: str | None) -> float | None:
        return None if record.let_through is None else sided(float(record.let_through), role)
