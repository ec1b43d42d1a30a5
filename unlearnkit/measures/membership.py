"""Scores by which one guesses that a row was not trained on: each is higher the stranger its answer is to the model."""

from __future__ import annotations

import math
import zlib

import numpy as np

from unlearnkit.measures.base import Measure
from unlearnkit.measures.exact_memorisation import counted
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Share


class MembershipLoss(Measure):
    """Mean negative log-probability of the answer's tokens (Yeom et al. 2018), in nats."""

    reads: tuple[str, ...] = ("answer_log_probs",)
    scale = Scale()

    def value(self, record: Record, role: str | None) -> float | None:
        return _finite(-float(np.mean(record.answer_log_probs))) if record.answer_log_probs else None


class MembershipZlib(MembershipLoss):
    """The same over the bytes that zlib makes of the answer (Carlini et al. 2021)."""

    def value(self, record: Record, role: str | None) -> float | None:
        loss = super().value(record, role)
        return None if loss is None else loss / len(zlib.compress(record.answer.encode()))


class MinK(MembershipLoss):
    """Minus the mean log-probability of the answer's least likely tokens (Shi et al. 2024, Min-K% Prob).

    Args:
        share: of the tokens that are taken, rounded down, and one at least.
        as_published: without the answer's last token, its end, as OpenUnlearning's code has it.
    """

    def __init__(self, share: Share = 0.4, as_published: bool = False):
        self.share, self.as_published = share, as_published

    def value(self, record: Record, role: str | None) -> float | None:
        return self._least(record.answer_log_probs)

    def _least(self, tokens: list[float]) -> float | None:
        losses = sorted(counted(tokens, self.as_published))
        return _finite(-float(np.mean(losses[: max(1, int(len(losses) * self.share))]))) if losses else None


class MinKPlusPlus(MinK):
    """`MinK` of log-probabilities less their mean under the model's own distribution, over its standard deviation.

    Zhang et al. 2025 (Min-K%++, arXiv:2404.02936).
    """

    reads = ("answer_deviations",)

    def value(self, record: Record, role: str | None) -> float | None:
        return self._least(record.answer_deviations)


class MembershipGradient(MembershipLoss):
    """Mean over weights of the 2-norm of the loss's gradient: what was trained on moves them less.

    As OpenUnlearning's code has it (Dorna et al. 2025), after Wang et al. 2025 (arXiv:2402.17012).
    """

    reads = ("gradient_norm",)

    def value(self, record: Record, role: str | None) -> float | None:
        return None if record.gradient_norm is None else _finite(record.gradient_norm)


class MembershipReference(MembershipLoss):
    """The loss less that under a reference model (Carlini et al. 2021), by default the run's own as it was loaded."""

    reads = ("answer_log_probs", "answer_reference_log_probs")

    def value(self, record: Record, role: str | None) -> float | None:
        loss, other = super().value(record, role), record.answer_reference_log_probs
        return None if loss is None or not other else loss + _finite(float(np.mean(other)))


def _finite(score: float) -> float:
    """An impossible token is stranger than all others, by a number that can be averaged."""
    return min(score, 1e9) if not math.isnan(score) else score
