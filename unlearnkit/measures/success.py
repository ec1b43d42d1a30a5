"""Does argmax still say the data's own answers? Where it should not, success is that it does not."""

from __future__ import annotations

import numpy as np

from unlearnkit.measures.base import HIGHER, Measure
from unlearnkit.records.record import Record


class Success(Measure):
    """Share of answer tokens that teacher-forced argmax hits, and on the forget side misses, averaged over answers.

    Unlearn Success and Retention Success as the authors of KnowUnDo measure them in their code; `SuccessWhole` is
    their paper's equations.
    """

    reads = ("answer_hits",)
    better = HIGHER
    rate, decimals = True, 1

    def value(self, record: Record, role: str | None) -> float | None:
        return sided(float(np.mean(record.answer_hits)), role) if record.answer_hits else None


class SuccessWhole(Success):
    """Share of answers whose every token argmax hits, so that greedy decoding says them (Tian et al. 2024, eq. 4).

    On the forget side the share of those that it misses somewhere (eq. 3).
    """

    yes_no = True

    def value(self, record: Record, role: str | None) -> float | None:
        return sided(float(all(record.answer_hits)), role) if record.answer_hits else None


def sided(known: float, role: str | None) -> float:
    return 1 - known if role == "forget" else known
