"""Logits that are made some positions at a time: a thousand of a vocabulary of 262,144 would take a gigabyte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

PIECE = 2**25  # logits at a time: 128 MiB in fp32


@dataclass
class Projected:
    """Logits (K, V) that do not stand.

    Args:
        states: (K, d) what the head is given.
        head: (n, d) -> (n, V).
        vocabulary: V.
        frozen: nothing of the head is trained.
    """

    states: torch.Tensor
    head: Callable[[torch.Tensor], torch.Tensor]
    vocabulary: int
    frozen: bool = False

    def __getitem__(self, where: Any) -> Projected:
        return Projected(self.states[where], self.head, self.vocabulary, self.frozen)

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
    """(N,) of (N, V), (N,) and (N, V), each value of its own row alone: see `Answers.of_tokens`.

    Under a frozen head a piece's gradient (n, d) is made along with it; under one that is trained the piece is computed
    a second time.
    """

    def one(chunk: Logits, place: int) -> torch.Tensor:
        piece = slice(place, place + len(chunk))
        beside = () if reference is None else (whole(reference[piece]).float(),)
        return value(whole(chunk).float(), labels[piece], *beside)

    if isinstance(logits, torch.Tensor) and not isinstance(reference, Projected):
        return one(logits, 0)
    size = max(1, PIECE // logits.shape[-1])
    places = range(0, len(labels), size)
    if isinstance(logits, Projected) and logits.frozen and torch.is_grad_enabled():
        return _Frozen.apply(logits.states, logits, one, places, size)  # type: ignore[no-any-return]
    return torch.cat([checkpoint(one, logits[place : place + size], place, use_reentrant=False) for place in places])


class _Frozen(torch.autograd.Function):
    """Values and their gradients, one row of states each."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        logits: Projected,
        one: Callable[[Logits, int], torch.Tensor],
        places: range,
        size: int,
    ) -> torch.Tensor:
        values, gradients = [], []
        for place in places:
            piece = states[place : place + size].detach().requires_grad_()
            with torch.enable_grad():
                chunk = piece.view_as(piece)  # no leaf: a module's hooks may ask whether its input gets a gradient
                made = one(Projected(chunk, logits.head, logits.vocabulary), place)
                gradients.append(torch.autograd.grad(made.sum(), piece)[0])
            values.append(made.detach())
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:  # type: ignore[override]
        (gradients,) = ctx.saved_tensors
        return (upstream[:, None] * gradients).to(gradients.dtype), None, None, None, None
