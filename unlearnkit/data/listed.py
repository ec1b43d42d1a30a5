"""Two sides in one list: each step sees as many of one as fall into it."""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Stream, plain


class Listed:
    """One side of a list that holds both, as in the code of Tian et al. 2024.

    Each forget row is followed by a retain row while there are any; the list is shuffled once and gone through in that
    order every epoch. A step of `count` rows holds some of each side, which both streams of the list draw between them.

    Args:
        forget, retain: the streams that the list is made of.
        side: whose rows this stream draws.
    """

    def __init__(self, forget: str, retain: str, side: Literal["forget", "retain"]):
        self.forget, self.retain, self.side = forget, retain, side

    def bind(self, streams: dict[str, Stream]) -> Listed:
        """Look up the named streams."""
        forget, retain = (plain(streams, name, "forget and retain").examples for name in (self.forget, self.retain))
        pairs = [("forget", row, place) for place, row in enumerate(forget)]
        pairs += [("retain", row, place) for place, row in enumerate(retain[: len(forget)])]
        self.rows: list[tuple[str, Example]] = [(side, row) for side, row, _ in sorted(pairs, key=lambda pair: pair[2])]
        return self

    @property
    def size(self) -> int:
        """Rows of the whole list, of both sides."""
        return len(self.rows)

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        """This side's of the list's next `count` rows."""
        order = np.random.default_rng([seed, zlib.crc32(b"listed")]).permutation(self.size)
        rows = (self.rows[order[index % self.size]] for index in range(step * count, (step + 1) * count))
        return [(row,) for side, row in rows if side == self.side]
