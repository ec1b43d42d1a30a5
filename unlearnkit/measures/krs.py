"""Knowledge Recovery Score: how much nearer to the original's logits restoring one part brings an unlearned model."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm, t

from unlearnkit.measures.interval import DRAWS, LARGEST_LOG, Estimate, nothing
from unlearnkit.records.record import Record


def krs(records: list[Record], setting: str, layer: int, seed: int = 0, of_questions: bool = False) -> Estimate:
    """1 - loss*o / loss* with `setting` restored around `layer` (Hong et al. 2024, eq. 3).

    The losses are averages over all answer positions of all questions. 1: the original's logits are back; 0: nothing
    is gained; negative: restoring drives the model further away. Records that are not `comparable` are left out.

    The interval is Student's t over questions for the logarithm of loss*o / loss*, linearised; so it ends below 1. Of
    one question no bound is known, nor where nothing is left of the loss.

    Args:
        of_questions: the mean of the questions' own scores instead, as the authors' notebook has it.
    """
    unlearned, patched = _errors(records, setting)
    return _at(unlearned, patched[:, layer] if len(unlearned) else unlearned, seed, of_questions)


def comparable(record: Record) -> bool:
    """Whether a record has errors that are numbers, and an unlearned error above 0: something to recover."""
    if not record.unlearned_error or not record.patched_errors:
        return False
    return bool(np.isfinite([record.unlearned_error, *sum(record.patched_errors.values(), [])]).all())


def krs_peak(records: list[Record], setting: str, seed: int = 0, of_questions: bool = False) -> Estimate:
    """The highest `krs` over the layers: a maximum of noisy numbers, so that its value lies above the best layer's own.

    The interval is of the best layer's own: from the highest lower to the highest upper bound of intervals that hold
    all layers at once, for which the multiplier bootstrap over questions (Chernozhukov et al. 2013) widens the t.
    """
    unlearned, patched = _errors(records, setting)
    parts = [_at(unlearned, part, seed, of_questions) for part in patched.T]
    value = max((part.value for part in parts), default=math.nan)
    if len(unlearned) < 2 or any(math.isnan(part.low) for part in parts):
        return Estimate(value, math.nan, math.nan, len(unlearned), seed) if len(unlearned) else nothing(seed)
    pulls = np.stack([_pull(unlearned, part, of_questions) for part in patched.T])
    pulls /= np.linalg.norm(pulls, axis=1, keepdims=True).clip(min=1e-300)
    drawn = np.random.default_rng(seed).normal(size=(DRAWS, len(unlearned))) @ pulls.T
    wider = max(1.0, float(np.quantile(np.abs(drawn).max(axis=1), 0.95) / norm.ppf(0.975)))
    parts = [_at(unlearned, part, seed, of_questions, wider) for part in patched.T]
    return Estimate(value, max(p.low for p in parts), max(p.high for p in parts), len(unlearned), seed)


def _errors(records: list[Record], setting: str) -> tuple[np.ndarray, np.ndarray]:
    """(N,) of the unlearned model and (N, L) of the patched one."""
    rows = [(r.unlearned_error, (r.patched_errors or {})[setting]) for r in records if comparable(r)]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows] or np.empty((0, 1)))


def _score(whole: np.ndarray, part: np.ndarray, of_questions: bool) -> float:
    return float((1 - part / whole).mean() if of_questions else 1 - part.sum() / whole.sum())


def _pull(unlearned: np.ndarray, patched: np.ndarray, of_questions: bool) -> np.ndarray:
    """(N,) how far each question pulls the logarithm of what is left of the loss, times N; they sum to 0."""
    if of_questions:
        ratio = patched / unlearned
        return ratio / ratio.mean() - 1
    return patched / patched.mean() - unlearned / unlearned.mean()


def _at(unlearned: np.ndarray, patched: np.ndarray, seed: int, of_questions: bool, wider: float = 1.0) -> Estimate:
    """Of (N,) errors without and with something restored."""
    count = len(unlearned)
    if count == 0:
        return nothing(seed)
    value = _score(unlearned, patched, of_questions)
    left = 1 - value
    if count == 1 or left <= 0:
        return Estimate(value, math.nan, math.nan, count, seed)
    deviation = float(_pull(unlearned, patched, of_questions).std(ddof=1))
    reach = min(wider * float(t.ppf(0.975, count - 1)) * deviation / math.sqrt(count), LARGEST_LOG / 2)
    return Estimate(value, 1 - left * math.exp(reach), 1 - left * math.exp(-reach), count, seed)
