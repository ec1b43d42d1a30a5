"""A measure: records -> a number with its interval, and which way is better on which side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from unlearnkit.data.roles import Role
from unlearnkit.measures.display import SHARE, Better, Display
from unlearnkit.measures.interval import Estimate, bounded_mean, exp_mean, plain_mean, share
from unlearnkit.measures.prompts import mean, per_prompt
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record


class Measure(ABC):
    """A mean over prompts of what one record says.

    Attributes:
        reads: fields of `Record` that it needs; whatever gives them is run, and nothing else.
        better: role -> "lower" or "higher"; of a role that is not there no direction is known.
        scale: where its values lie: an interval stays there, and seeds are averaged on it.
        yes_no: every record says 0 or 1.
        rate: a fraction of 1, shown in percent.
        decimals: that are shown.
    """

    reads: tuple[str, ...] = ()
    better: Mapping[Role | None, Better] = {}
    scale: Scale = SHARE
    yes_no: bool = False
    rate: bool = False
    decimals: int = 3

    @abstractmethod
    def value(self, record: Record, role: Role | None) -> float | None:
        """What one record says, on the side `role`; None where it says nothing."""

    def of_samples(self, values: Sequence[float]) -> float:
        """What a prompt's samples say together, one value each: their mean."""
        return mean(values)

    def values(self, records: Sequence[Record], role: Role | None) -> list[float]:
        """One a prompt."""
        rows = [(record, self.value(record, role)) for record in records]
        return per_prompt(((record, value) for record, value in rows if value is not None), self.of_samples)

    def mean(self, values: Sequence[float], seed: int = 0) -> Estimate:
        """With the interval that the scale asks for (see `unlearnkit.measures.interval`)."""
        if self.yes_no:
            return share(values, seed)
        if self.scale.geometric:
            return exp_mean(values, seed)
        if self.scale.bounded:
            return bounded_mean(values, seed, (self.scale.low, self.scale.high))
        return plain_mean(values, seed)

    def __call__(self, records: Sequence[Record], role: Role | None = None, seed: int = 0) -> Estimate:
        return self.mean(self.values(records, role), seed)

    def display(self, role: Role | None) -> Display:
        """How its numbers on the side `role` are shown."""
        return Display(self.better.get(role), self.rate, self.decimals, self.scale, role)


LOWER: Mapping[Role | None, Better] = {"forget": "lower", "retain": "lower", "general": "lower", "holdout": "lower"}
HIGHER: Mapping[Role | None, Better] = {
    "forget": "higher",
    "retain": "higher",
    "general": "higher",
    "holdout": "higher",
}
GONE: Mapping[Role | None, Better] = {
    **HIGHER,
    "forget": "lower",
}  # of what is known: better less of it where forgotten
