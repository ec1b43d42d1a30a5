"""Can two sides be told apart by a score? Membership as the field reports it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unlearnkit.measures.combined import OfMeasures
from unlearnkit.measures.display import SHARE
from unlearnkit.measures.interval import Estimate, nothing, wilson
from unlearnkit.measures.seeds import Scale


class AUC(OfMeasures):
    """The chance that a row of `others` has a higher score than one of `members`, ties counting half.

    0.5 where nobody can tell them apart, 1 where every member is the likelier; better is what a model that never knew
    has, so no direction is known.

    Args:
        of: the score.
        members, others: two sets, or roles.
    """

    scale, decimals = SHARE, 3

    def __init__(self, of: str, members: str = "forget", others: str = "holdout"):
        super().__init__({members: of, others: of})
        self.better = {}

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        return auc(groups[0], groups[1], seed)


class PrivLeak(AUC):
    """(a - a') / a' in percent, where a is 1 - AUC and a' that of a control (Shi et al. 2025, MUSE, section 3.2).

    -100 where every member is found, 0 where the control's are found as often. The interval is between the extremes of
    both intervals.

    Args:
        against: the moment of the run that is compared with.
    """

    scale, decimals = Scale(-100.0), 1

    def __init__(self, of: str, members: str = "forget", others: str = "holdout", against: str = "never_knew"):
        super().__init__(of, members, others)
        self.against = against

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        own = auc(groups[0], groups[1], seed)
        control = auc(controls[0], controls[1], seed) if controls else nothing(seed)
        if not own.n or not control.n or control.value == 1:
            return nothing(seed)
        ends = [(1 - own.value, 1 - control.value), (1 - own.high, 1 - control.low)]
        value, low = (100 * (a / b - 1) for a, b in ends)
        high = 100 * ((1 - own.low) / (1 - control.high) - 1) if control.high < 1 else math.nan
        return Estimate(value, low, high, own.n, seed)


def auc(members: Sequence[float], others: Sequence[float], seed: int = 0) -> Estimate:
    """P(other > member) + P(equal) / 2, with Wilson's interval on an effective count.

    The count is that of yes/no outcomes whose share varies as much as DeLong et al. (1988) say of this number, so that
    the interval keeps to 0 and 1, and has width there: with both sides apart the count is the smaller side's.
    """
    if not len(members) or not len(others):
        return nothing(seed)
    from scipy.stats import norm, rankdata, t

    low, high = np.asarray(members, dtype=float), np.asarray(others, dtype=float)
    ranks = rankdata(np.concatenate([low, high]))
    of_members = 1 - (ranks[: len(low)] - rankdata(low)) / len(high)  # the share of others above each member
    of_others = (ranks[len(low) :] - rankdata(high)) / len(low)  # and of members below each other
    value, least = float(of_others.mean()), min(len(low), len(high))
    count = float(least)
    if least > 1 and 0 < value < 1:
        variance = of_members.var(ddof=1) / len(low) + of_others.var(ddof=1) / len(high)
        wider = float((t.ppf(0.975, least - 1) / norm.ppf(0.975)) ** 2)  # the variance is of few rows, too
        count = min(value * (1 - value) / max(float(variance), 1e-12), float(len(low) + len(high))) / wider
    return Estimate(value, *wilson(value, max(count, 1.0)), len(low) + len(high), seed)
