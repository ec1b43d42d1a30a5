"""Unlearn Success and Retention Success: does argmax still say the data's own answers?"""

from __future__ import annotations

import numpy as np

from unlearnkit.measures.interval import Estimate, bounded_mean, mean_of_means, share
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.records.record import Record


def retention_success(records: list[Record], seed: int = 0) -> Estimate:
    """Share of answer tokens that teacher-forced argmax hits, averaged over answers; 0 to 1.

    What the authors of KnowUnDo measure in their code; `retention_success_whole` is their paper's eq. (4).
    """
    return bounded_mean(_hit_rates(records), seed)


def unlearn_success(records: list[Record], seed: int = 0) -> Estimate:
    """1 - `retention_success`, on the unlearn scope."""
    return bounded_mean([1 - rate for rate in _hit_rates(records)], seed)


def retention_success_whole(records: list[Record], seed: int = 0) -> Estimate:
    """Share of answers whose every token argmax hits, so that greedy decoding says them (Tian et al. 2024, eq. 4)."""
    return share(_whole(records), seed)


def unlearn_success_whole(records: list[Record], seed: int = 0) -> Estimate:
    """Share of answers that argmax misses somewhere (Tian et al. 2024, eq. 3)."""
    return share([1 - whole for whole in _whole(records)], seed)


def average_success(
    records: list[Record], unlearn: str = "unlearn", retention: str = "retention", seed: int = 0
) -> Estimate:
    """Mean of Unlearn Success and Retention Success, the tables' Avg. column; records of both scopes.

    Args:
        unlearn, retention: what the names of the scopes' sets begin with.
    """
    forgotten = [1 - rate for rate in _hit_rates([r for r in records if r.set.startswith(unlearn)])]
    kept = _hit_rates([r for r in records if r.set.startswith(retention)])
    return mean_of_means(forgotten, kept, seed)


def _hit_rates(records: list[Record]) -> list[float]:
    return per_prompt((record, float(np.mean(record.answer_hits))) for record in records if record.answer_hits)


def _whole(records: list[Record]) -> list[float]:
    return per_prompt((record, all(record.answer_hits)) for record in records if record.answer_hits)
