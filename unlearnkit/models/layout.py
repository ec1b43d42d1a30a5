"""Which tokens of a packed row see one another."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

Made = TypeVar("Made")


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of a row: a whole example, a beginning that several have, or what follows it in one of them.

    Each token sees itself and those before it in the piece, and all of the pieces that this one goes on from.

    Args:
        start, end: places in the row, the end not included.
        continues: number of the piece before this one, such as of an answer its prompt.
    """

    start: int
    end: int
    continues: int | None = None


@dataclass(frozen=True)
class Sequences:
    """The pieces as causal sequences, each behind a copy of the keys of those before it.

    Queries stay in the row's order. A sequence with fewer queries than keys is aligned at its end.

    Args:
        keys: (K,) places in the row of the keys, or None where they are the row.
        query_ends, key_ends: (N + 1,) int32, where sequences end, from 0.
        longest_query, longest_key: tokens.
    """

    keys: torch.Tensor | None
    query_ends: torch.Tensor
    key_ends: torch.Tensor
    longest_query: int
    longest_key: int


class Layout:
    """The pieces of a row, in order and without gaps; what kernels want of them is made once a device.

    They are a tree's nodes, a piece followed at once by all that go on from it, as `pack` lays them.

    Attributes:
        sizes: tokens of each piece.
        chains: numbers of the pieces before each, the first one first.
    """

    def __init__(self, pieces: list[Piece]):
        self.pieces = pieces
        self.sizes = [piece.end - piece.start for piece in pieces]
        self.chains: list[list[int]] = []
        for piece in pieces:
            of = piece.continues
            self.chains.append([] if of is None else [*self.chains[of], of])
        self._made: dict[Hashable, Any] = {}

    def once(self, what: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` makes of the row, for all layers."""
        if what not in self._made:
            with torch.inference_mode(False):  # it may be made in scoring and saved for a backward pass later
                self._made[what] = make()
        made: Made = self._made[what]
        return made

    def masks(self, device: torch.device, window: int | None = None) -> list[torch.Tensor | None]:
        """A piece's (L, K) mask, True where a token sees a key; None where plain causal attention says the same.

        K are the tokens of the pieces before this one, then its own.

        Args:
            window: a token sees itself and the `window` - 1 before it.
        """
        return self.once(
            ("masks", device, window), lambda: [self._mask(n, device, window) for n in range(len(self.pieces))]
        )

    def _mask(self, number: int, device: torch.device, window: int | None) -> torch.Tensor | None:
        own, before = self.sizes[number], self.before(number)
        cut = window is not None and before + own > window
        if not before and not cut:
            return None
        mask = torch.ones(own, before + own, dtype=torch.bool, device=device).tril(before)
        return mask.triu(before - window + 1) if cut and window is not None else mask

    def before(self, number: int) -> int:
        """Tokens before those of a piece in its example."""
        return sum(self.sizes[other] for other in self.chains[number])

    def sequences(self, device: torch.device) -> Sequences:
        """The row for a variable-length kernel."""
        return self.once(("sequences", device), lambda: self._as_sequences(device))

    def _as_sequences(self, device: torch.device) -> Sequences:
        keys: list[int] = []
        for number, chain in enumerate(self.chains):
            for other in (*chain, number):
                keys += range(self.pieces[other].start, self.pieces[other].end)
        shared = any(self.chains)
        lengths = [self.before(number) + size for number, size in enumerate(self.sizes)]
        return Sequences(
            torch.tensor(keys, device=device) if shared else None,
            _ends(self.sizes, device),
            _ends(lengths, device),
            max(self.sizes),
            max(lengths),
        )


def _ends(sizes: list[int], device: torch.device) -> torch.Tensor:
    return torch.tensor([0, *sizes], device=device).cumsum(0).to(torch.int32)
