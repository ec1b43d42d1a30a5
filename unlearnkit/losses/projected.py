"""Logits that are made some positions at a time: a thousand of a vocabulary of 262,144 would take a gigabyte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

PIECE = 2**23  # logits at a time: 32 MiB in fp32


@dataclass
class Projected:
    """Logits (K, V) that do not stand.

    Args:
        states: (K, d) what the head is given.
        head: (n, d) -> (n, V).
        vocabulary: V.
    """

    states: torch.Tensor
    head: Callable[[torch.Tensor], torch.Tensor]
    vocabulary: int

    def __getitem__(self, where: Any) -> Projected:
        return Projected(self.states[where], self.head, self.vocabulary)

    def __len__(self) -> int:
        return len(self.states)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.states), self.vocabulary

    def whole(self) -> torch.Tensor:
        """(K, V) as they would stand."""
        return self.head(self.states)


Logits = torch.Tensor | Projected


def whole(logits: Logits) -> torch.Tensor:
    """(K, V)."""
    return logits.whole() if isinstance(logits, Projected) else logits


def in_pieces(
    value: Callable[..., torch.Tensor], logits: Logits, labels: torch.Tensor, reference: Logits | None = None
) -> torch.Tensor:
    """(N,) of (N, V), (N,) and (N, V): see `Answers.of_tokens`. A piece is computed again for its gradient."""

    def one(given: Logits, wanted: torch.Tensor, compared: Logits | None) -> torch.Tensor:
        beside = () if compared is None else (whole(compared).float(),)
        return value(whole(given).float(), wanted, *beside)

    if isinstance(logits, torch.Tensor) and not isinstance(reference, Projected):
        return one(logits, labels, reference)
    size = max(1, PIECE // logits.shape[-1])
    values = []
    for place in range(0, len(labels), size):
        piece = slice(place, place + size)
        beside = None if reference is None else reference[piece]
        values.append(checkpoint(one, logits[piece], labels[piece], beside, use_reentrant=False))
    return torch.cat(values)
