"""What a value may be, written beside the parameter that takes it: `batch_size: Positive = 64`.

`unlearnkit.settings.check` reads these marks before anything is instantiated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated


@dataclass(frozen=True)
class Bound:
    """Numbers from `low` to `high`; `above` leaves `low` itself out, `below` leaves `high` out."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        over = value > self.low if self.above else value >= self.low
        return over and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        low, high = (f"{end:.0f}" if end.is_integer() else f"{end:g}" for end in (float(self.low), float(self.high)))
        words = [] if self.low == -math.inf else [f"above {low}" if self.above else f"at least {low}"]
        words += [] if self.high == math.inf else [f"below {high}" if self.below else f"at most {high}"]
        return " and ".join(words)


@dataclass(frozen=True)
class Arguments:
    """A mapping that is handed on as keyword arguments of `target`, a dotted name.

    Args:
        but: keys that are not taken, each with what to set in its place; `PLACE` in it is the key of the mapping's
            own parent.
        also: further keys, with what they may be.
        bounds: of keys whose own annotations say too little.
    """

    target: str
    but: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, object] = field(default_factory=dict)
    bounds: Mapping[str, Bound] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A node whose `_target_` makes an object of a class, given by its dotted name; empty: of any."""

    of: str = ""


@dataclass(frozen=True)
class Unread:
    """What comes along with a choice, and this command does not read; it need not even resolve."""


@dataclass(frozen=True)
class Word:
    """A text that becomes a part of a path: no slash, nothing that climbs, not empty."""


Positive = Annotated[int, Bound(1)]
Several = Annotated[int, Bound(2)]
Count = Annotated[int, Bound(0)]
Seed = Annotated[int, Bound(0, 2**32 - 1)]  # numpy's global generator, which the Trainer seeds, takes no more
Share = Annotated[float, Bound(0, 1)]
AboveZero = Annotated[float, Bound(0, above=True)]
Temperature = Annotated[float, Bound(1e-6)]  # below it logits are divided to infinity
Nonnegative = Annotated[float, Bound(0)]
Name = Annotated[str, Word()]
# A layer: its number from 0, or its share of the depth.
Depth = Annotated[int, Bound(0)] | Annotated[float, Bound(0, 1, above=True, below=True)]
