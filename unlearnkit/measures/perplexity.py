"""How surprising responses are to a reference model, and the data's own answers to the model itself."""

from collections.abc import Sequence

import numpy as np

from unlearnkit.measures.base import GONE, LOWER, Measure
from unlearnkit.measures.display import PERPLEXITY
from unlearnkit.records.record import Record


class Perplexity(Measure):
    """exp of the mean over responses of the negative log-probability a token under the reference model.

    Liu et al. 2024, eq. (9), for each response; the mean over responses is taken before exp (a geometric mean),
    so that one odd response does not decide the number. May be far past 1e10 where a model has diverged;
    what is past the largest float (1.8e308) is that float.
    """

    reads: tuple[str, ...] = ("reference_log_probs",)
    better = LOWER
    scale, decimals = PERPLEXITY, 2

    def value(self, record: Record, role: str | None) -> float | None:
        return surprise(record.reference_log_probs)


class AnswerPerplexity(Perplexity):
    """The same of the data's own answers under the model itself, teacher-forced.

    A model that answers every question with one repeated word can have a low `Perplexity`, for a reference soon
    expects the repetition; this one cannot be fooled so.
    """

    reads = ("answer_log_probs",)
    better = {role: "higher" if way == "lower" else "lower" for role, way in GONE.items()}

    def value(self, record: Record, role: str | None) -> float | None:
        return surprise(record.answer_log_probs)


def surprise(log_probs: Sequence[float]) -> float | None:
    """Nats a token; None without a token."""
    return -float(np.mean(log_probs)) if log_probs else None
