"""How surprising the responses are to a reference model."""

import numpy as np

from unlearnkit.metrics.interval import Estimate, estimate
from unlearnkit.records.record import Record


def perplexity(records: list[Record], seed: int = 0) -> Estimate:
    """exp of the mean over responses of the negative log-probability a token under the reference model.

    Liu et al. 2024, eq. (9), for each response; the mean over responses is taken before exp (a geometric mean),
    so that one odd response does not decide the number. May be far past 1e10 where a model has diverged.
    """
    surprise = [-float(np.mean(record.reference_log_probs)) for record in records if record.reference_log_probs]
    with np.errstate(over="ignore"):
        return estimate(surprise, transform=np.exp, seed=seed)
