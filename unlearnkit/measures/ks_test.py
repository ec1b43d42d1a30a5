"""Do two models differ in how a measure is distributed? (TOFU's forget quality: Maini et al. 2024, section 3.3)"""

from __future__ import annotations

import math
from collections.abc import Sequence

from unlearnkit.measures.base import GONE
from unlearnkit.measures.combined import OfMeasures
from unlearnkit.measures.interval import Estimate, nothing


class KSTest(OfMeasures):
    """p of a two-sample Kolmogorov-Smirnov test between a measure's values by prompt and a control's.

    High: the two cannot be told apart, which is bad of what is forgotten where the start is the control. A p-value has
    no interval.

    Args:
        of: the measure.
        side: the set, or the role whose only set it is.
        against: the moment of the run that is compared with, such as `start`.
    """

    def __init__(self, of: str, side: str, against: str = "start"):
        super().__init__({side: of})
        self.against = against
        if against == "start":
            self.better = GONE

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        return self.of_values(groups[0], controls[0], seed)

    def of_values(self, own: Sequence[float], control: Sequence[float], seed: int = 0) -> Estimate:
        """Of the values by prompt of this model and of the control."""
        if not len(own) or not len(control):
            return nothing(seed)
        from scipy.stats import ks_2samp

        return Estimate(float(ks_2samp(own, control).pvalue), math.nan, math.nan, len(own), seed)
