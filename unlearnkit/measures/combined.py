"""Measures of measures: one number of the means that others have on several sides."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from unlearnkit.data.roles import Role
from unlearnkit.errors import UserError
from unlearnkit.measures.base import HIGHER, Measure
from unlearnkit.measures.display import Better
from unlearnkit.measures.interval import Estimate, combined
from unlearnkit.records.record import Record


class OfMeasures(Measure):
    """Of the values that other measures have.

    Args:
        of: set or role -> a measure, or several; a role stands for all sets that have it.
        better: of the whole.

    Attributes:
        against: the moment of the run whose values these are compared with, such as `start`; none if empty.

    Raises:
        UserError: of nothing.
    """

    against = ""

    def __init__(self, of: Mapping[str, str | list[str]], better: Better = "higher"):
        self.of = {side: [names] if isinstance(names, str) else list(names) for side, names in of.items()}
        self.better = dict.fromkeys((*HIGHER, None), better)
        if not any(self.of.values()):
            raise UserError(
                f"{type(self).__name__} of nothing: it combines no measure of no set",
                "Name them: of: {forget: success, retain: success}",
            )

    def takes(self, part: Measure) -> bool:
        """Whether a measure's values lie where this one can read them."""
        return True

    def value(self, record: Record, role: Role | None) -> float | None:
        raise TypeError(f"{type(self).__name__} is of measures, not of records")

    @abstractmethod
    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        """One number of each part's values by prompt; of nothing where a part has none.

        Args:
            controls: each part's values at the moment `against`.
        """


class Combined(OfMeasures):
    """Of means between 0 and 1, each growing with what is good or each with what is bad."""

    rate, decimals = True, 1

    def takes(self, part: Measure) -> bool:
        return 0 <= part.scale.low and part.scale.high <= 1

    def of_groups(
        self, groups: Sequence[Sequence[float]], seed: int = 0, controls: Sequence[Sequence[float]] = ()
    ) -> Estimate:
        return combined(groups, self.together, seed)

    @abstractmethod
    def together(self, means: np.ndarray) -> np.ndarray:
        """(parts, ...) -> (...), growing with every mean."""


class Mean(Combined):
    """The plain mean, as the Average Success of Tian et al. 2024, table 2."""

    def together(self, means: np.ndarray) -> np.ndarray:
        return means.mean(axis=0)


class HarmonicMean(Combined):
    """The harmonic mean, as TOFU's model utility (Maini et al. 2024, section 3.3): 0 as soon as one part is."""

    rate, decimals = False, 3
    SMALLEST: ClassVar[float] = 1e-300  # a mean of 0, which can be divided by

    def together(self, means: np.ndarray) -> np.ndarray:
        harmonic = 1 / (1 / np.maximum(means, self.SMALLEST)).mean(axis=0)
        return np.where((means <= 0).any(axis=0), 0.0, harmonic)
