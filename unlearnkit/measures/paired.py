"""Whether differences prompt by prompt may be chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FLIPS = 9999  # random signs of a test, where not all can be tried


def paired(differences: Sequence[float]) -> float:
    """Of differences prompt by prompt: McNemar's exact test where they are 0 and 1 apart, else by random signs."""
    from scipy.stats import binomtest  # most of what imports this file tests nothing

    data = np.asarray(differences, dtype=float)
    data = data[data != 0]
    if len(data) == 0:
        return 1.0
    if (np.abs(data) == 1).all():
        return float(binomtest(int((data > 0).sum()), len(data)).pvalue)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(FLIPS, len(data)))
    extreme = np.abs(signs @ data) >= abs(data.sum()) * (1 - 1e-9)
    return float((1 + extreme.sum()) / (1 + FLIPS))
