"""Knowledge Recovery Score: how much nearer to the original's logits restoring one part brings an unlearned model."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import bootstrap

from unlearnkit.metrics.interval import Estimate
from unlearnkit.records.record import Record


def krs(records: list[Record], setting: str, layer: int, seed: int = 0, of_questions: bool = False) -> Estimate:
    """1 - loss*o / loss* with `setting` restored around `layer` (Hong et al. 2024, eq. 3).

    The losses are averages over all answer positions of all questions. 1: the original's logits are back; 0: nothing
    is gained; negative: restoring drives the model further away. Records that are not `comparable` are left out.

    Args:
        of_questions: the mean of the questions' own scores instead, as the authors' notebook has it.
    """
    unlearned, patched = _errors(records, setting)
    return _estimate(unlearned, patched[:, layer : layer + 1], seed, of_questions)


def comparable(record: Record) -> bool:
    """Whether a record has errors that are numbers, and an unlearned error above 0: something to recover."""
    if not record.unlearned_error or not record.patched_errors:
        return False
    return bool(np.isfinite([record.unlearned_error, *sum(record.patched_errors.values(), [])]).all())


def krs_peak(records: list[Record], setting: str, seed: int = 0, of_questions: bool = False) -> Estimate:
    """The highest `krs` over the layers; the interval is of the highest in each resample."""
    return _estimate(*_errors(records, setting), seed, of_questions)


def _errors(records: list[Record], setting: str) -> tuple[np.ndarray, np.ndarray]:
    """(N,) of the unlearned model and (N, L) of the patched one."""
    rows = [(r.unlearned_error, (r.patched_errors or {})[setting]) for r in records if comparable(r)]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows] or np.empty((0, 1)))


def _estimate(unlearned: np.ndarray, patched: np.ndarray, seed: int, of_questions: bool) -> Estimate:
    count = len(unlearned)
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, seed)

    def score(whole: np.ndarray, *parts: np.ndarray, axis: int = -1) -> np.ndarray:
        if of_questions:
            scores = [(1 - part / whole).mean(axis=axis) for part in parts]
        else:
            scores = [1 - part.sum(axis=axis) / whole.sum(axis=axis) for part in parts]
        return np.max(scores, axis=0)

    value = float(score(unlearned, *patched.T))
    if count == 1:
        return Estimate(value, value, value, 1, seed)
    interval = bootstrap(
        (unlearned, *patched.T),
        score,
        n_resamples=2000,
        method="percentile",
        paired=True,
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value, float(interval.low), float(interval.high), count, seed)
