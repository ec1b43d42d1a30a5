"""Is the right answer likelier than wrong ones? (TOFU: Maini et al. 2024, section 3.2)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from unlearnkit.measures.base import GONE, Measure
from unlearnkit.measures.interval import LARGEST_LOG
from unlearnkit.records.record import Record

PARAPHRASES, WRONG = "paraphrases", "wrong"  # kinds of alternatives


class Probability(Measure):
    """P(answer)^(1/tokens) of the data's own answer, its end token included (Maini et al. 2024, section 3.2)."""

    reads: tuple[str, ...] = ("answer_log_probs",)
    better = GONE

    def value(self, record: Record, role: str | None) -> float | None:
        return likelihood(record.answer_log_probs)


class ProbabilityNormalised(Probability):
    """The own answer's `Probability` as a share of its sum with that of the wrong answers, as for multiple choice."""

    reads = ("answer_log_probs", "alternative_log_probs")

    def value(self, record: Record, role: str | None) -> float | None:
        wrong = [row for row in (record.alternative_log_probs or {}).get(WRONG, []) if row]
        if not wrong or not record.answer_log_probs:
            return None
        logs = np.array([np.mean(row) for row in (record.answer_log_probs, *wrong)])
        if logs.max() == -math.inf:
            return None
        shares = np.exp(logs - logs.max())  # a diverged model's probabilities are too small for a float
        return float(shares[0] / shares.sum())


class TruthRatio(Measure):
    """R = P(wrong)^(1/tokens) / P(paraphrased answer)^(1/tokens), told as a number from 0 to 1.

    The geometric form of the authors' code: P(wrong) is exp of the mean over wrong answers of their log-probability a
    token. Without a paraphrase the data's own answer takes its place, as for real authors and world facts.

    Args:
        form: "even", min(R, 1/R), 1 where right and wrong are equally likely, as it should be of what is forgotten,
            and of no known direction elsewhere; "true", max(0, 1 - R), near 1 where the right answer is known;
            "share", 1 / (1 + R), the right answer's share of both, which falls with R: a test of its ranks is one of R.
        arithmetic: the paper's equation (1): the mean over wrong answers of their probabilities themselves.
    """

    reads = ("answer_log_probs", "alternative_log_probs")

    def __init__(self, form: Literal["even", "true", "share"] = "even", arithmetic: bool = False):
        self.form, self.arithmetic = form, arithmetic
        self.better = {"forget": "higher"} if form == "even" else GONE

    def value(self, record: Record, role: str | None) -> float | None:
        scored = record.alternative_log_probs or {}
        wrong, right = scored.get(WRONG, []), scored.get(PARAPHRASES) or [record.answer_log_probs]
        if not wrong or not all(map(len, (*wrong, *right))):
            return None
        log = self._log(wrong) - self._log(right)
        if math.isnan(log):  # both are impossible
            return None
        if self.form == "even":
            return math.exp(-abs(log))
        if self.form == "share":
            return 1 / (1 + math.exp(min(log, LARGEST_LOG)))
        return max(0.0, 1 - math.exp(min(log, 0.0)))

    def _log(self, answers: Sequence[Sequence[float]]) -> float:
        means = [float(np.mean(row)) for row in answers]
        if not self.arithmetic:
            return float(np.mean(means))
        return float(np.logaddexp.reduce(means)) - math.log(len(means))


def likelihood(log_probs: Sequence[float]) -> float | None:
    """exp of the mean log-probability a token; None without a token."""
    return math.exp(float(np.mean(log_probs))) if log_probs else None
