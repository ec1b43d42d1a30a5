"""Whether differences prompt by prompt may be chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FLIPS = 9999  # random signs of a test, where not all can be tried
MORE = 200  # of them for each test of a family: corrected for it, a p-value can fall to 1 / MORE
FEW = 10  # extreme ones, of which a p-value is known well enough


def paired(differences: Sequence[float], family: int = 1) -> float:
    """Of differences prompt by prompt: McNemar's exact test where they are 0 and 1 apart, else by signs.

    Args:
        family: of how many tests this is one; see `p_of_draws`.
    """
    from scipy.stats import binomtest  # most of what imports this file tests nothing

    data = np.asarray(differences, dtype=float)
    data = data[data != 0]
    if len(data) == 0:
        return 1.0
    if (np.abs(data) == 1).all():
        return float(binomtest(int((data > 0).sum()), len(data)).pvalue)
    least = abs(data.sum()) * (1 - 1e-9)
    if 2 ** len(data) <= FLIPS:
        signs = 1.0 - 2.0 * (np.arange(2 ** len(data))[:, None] >> np.arange(len(data)) & 1)
        return float((np.abs(signs @ data) >= least).mean())
    rng = np.random.default_rng(0)
    return p_of_draws(lambda: np.abs(rng.choice([-1.0, 1.0], size=(FLIPS, len(data))) @ data) >= least, family)


def p_of_draws(extreme: Callable[[], np.ndarray], family: int = 1) -> float:
    """The p-value of a Monte Carlo test, drawn on until `FEW` were extreme (Besag and Clifford 1991).

    Or until `MORE` for each test of the family were drawn: of a fixed number the smallest p-value is, times many tests
    (Holm 1979), above any level.

    Args:
        extreme: draws anew `FLIPS` times, and says of each whether it is as extreme as what was seen.
        family: of how many tests it is one.
    """
    found = drawn = 0
    while drawn < FLIPS or (found < FEW and drawn < MORE * family):
        found, drawn = found + int(extreme().sum()), drawn + FLIPS
    return (1 + found) / (1 + drawn)
