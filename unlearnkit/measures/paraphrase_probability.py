"""How likely the data's own answer is in other words."""

from __future__ import annotations

import numpy as np

from unlearnkit.measures.truth_ratio import PARAPHRASES, Probability, likelihood
from unlearnkit.records.record import Record


class ParaphraseProbability(Probability):
    """`Probability` of the paraphrases of an answer, averaged over them (Dorna et al. 2025, arXiv:2506.12618)."""

    reads = ("alternative_log_probs",)

    def value(self, record: Record, role: str | None) -> float | None:
        every = map(likelihood, (record.alternative_log_probs or {}).get(PARAPHRASES, []))
        likelihoods = [value for value in every if value is not None]
        return float(np.mean(likelihoods)) if likelihoods else None
