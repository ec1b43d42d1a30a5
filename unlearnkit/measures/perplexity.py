"""How surprising the responses are to a reference model."""

import numpy as np

from unlearnkit.measures.interval import Estimate, exp_mean
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.records.record import Record


def perplexity(records: list[Record], seed: int = 0) -> Estimate:
    """exp of the mean over responses of the negative log-probability a token under the reference model.

    Liu et al. 2024, eq. (9), for each response; the mean over responses is taken before exp (a geometric mean),
    so that one odd response does not decide the number. May be far past 1e10 where a model has diverged;
    what is past the largest float (1.8e308) is that float.
    """
    return _perplexity([(record, record.reference_log_probs) for record in records], seed)


def answer_perplexity(records: list[Record], seed: int = 0) -> Estimate:
    """The same of the data's own answers under the model itself, teacher-forced.

    A model that answers every question with one repeated word can have a low `perplexity`, for a reference soon
    expects the repetition; this one cannot be fooled so.
    """
    return _perplexity([(record, record.answer_log_probs) for record in records], seed)


def _perplexity(rows: list[tuple[Record, list[float]]], seed: int) -> Estimate:
    return exp_mean(per_prompt((record, -float(np.mean(row))) for record, row in rows if row), seed)
