"""Whether a model's logits are numbers: what is computed from NaN looks like any other result."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from unlearnkit import ranks
from unlearnkit.errors import Diverged


class NoNumbers(Exception):
    """A logit was NaN or infinite."""


class Watch:
    """What the logits of one network were since the watch began. Nothing waits for the device before it is asked."""

    def __init__(self) -> None:
        self._odd: torch.Tensor | None = None  # a flag, where the logits are

    def look(self, _module: Any, _inputs: Any, logits: torch.Tensor) -> None:
        """A forward hook. Minus infinity is let pass: that is how a model forbids a token."""
        if logits.numel():
            now = ~(logits.detach().amax() < math.inf)
            self._odd = now if self._odd is None else now | self._odd.to(now.device)

    @property
    def odd(self) -> bool:
        """A logit was NaN or infinite."""
        return self._odd is not None and bool(self._odd)


_open: list[Watch] = []  # those that have begun and not ended, the outermost first


@contextlib.contextmanager
def watched(network: Any) -> Iterator[None]:
    """Look at every logit that the network gives in a `with`; `refuse_odd` says whether one was NaN or infinite.

    Watches may lie in one another, each with what it saw itself.
    """
    watch = Watch()
    handle = network.get_output_embeddings().register_forward_hook(watch.look)
    _open.append(watch)
    try:
        yield
    finally:
        handle.remove()
        _open.remove(watch)


def refuse_odd(odd: bool = False) -> None:
    """Asked by every rank together, before something is made of what was computed.

    Args:
        odd: this rank has found out by other means.

    Raises:
        NoNumbers: on all ranks, where one has seen a logit that is no number in a watch that has not ended.
    """
    odd = odd or any(watch.odd for watch in _open)
    if any(ranks.shared(list(range(ranks.count())), lambda mine: [odd] * len(mine))):
        raise NoNumbers


def check_weights(network: Any, stage: str) -> None:
    """Asked after each stage, before anything is measured or kept of it.

    Raises:
        Diverged: a weight is NaN or infinite.
    """
    if name := odd_weight(network):
        raise Diverged(
            f"The stage '{stage}' left weights that are no numbers (NaN or infinite), first in '{name}'",
            "Lower train.arguments.learning_rate, the terms' weights or the stage's scale, or take fewer steps",
        )


@torch.no_grad()
def odd_weight(network: Any, among: Callable[[str], bool] = lambda name: True) -> str | None:
    """The name of the first weight that is NaN or infinite.

    Args:
        among: says of a name whether its weight is looked at.
    """
    named = ((name, weight) for name, weight in network.named_parameters() if among(name))
    wide = ((name, weight) for name, weight in named if weight.dtype.itemsize > 1)  # not rounded
    # NaN passes through the least and the greatest: 20 times as fast as isfinite, and no copy is made.
    return next(
        (name for name, weight in wide if weight.numel() and not all(map(math.isfinite, weight.aminmax()))), None
    )
