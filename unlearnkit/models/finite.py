"""Whether a model's logits are numbers: what is computed from NaN looks like any other result."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch

from unlearnkit import ranks
from unlearnkit.errors import UserError

_broken: list[torch.Tensor] = []  # by the networks that are watched just now, one flag


class NoNumbers(Exception):
    """A logit was NaN or infinite."""


@contextlib.contextmanager
def watched(network: Any) -> Iterator[None]:
    """Look at every logit that the network gives in a `with`; `refuse_odd` says whether one was NaN or infinite.

    Minus infinity is let pass: that is how a model forbids a token. Nothing waits for the device before it is asked.
    """

    def look(_module: Any, _inputs: Any, logits: torch.Tensor) -> None:
        if logits.numel():
            now = ~(logits.detach().amax() < math.inf)
            _broken[:] = [now | _broken[0].to(now.device)] if _broken else [now]

    handle = network.get_output_embeddings().register_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()
        _broken.clear()


def refuse_odd(odd: bool = False) -> None:
    """Asked by every rank together, before something is made of what was computed.

    Args:
        odd: this rank has found out by other means.

    Raises:
        NoNumbers: on all ranks, where one has seen a logit that is no number.
    """
    odd = odd or bool(_broken and _broken[0])
    if any(ranks.shared(list(range(ranks.count())), lambda mine: [odd] * len(mine))):
        raise NoNumbers


@torch.no_grad()
def check_weights(network: Any, stage: str) -> None:
    """Asked after each stage, before anything is measured or kept of it.

    Raises:
        UserError: a weight is NaN or infinite.
    """
    for name, weight in network.named_parameters():
        if not torch.isfinite(weight).all():
            raise UserError(
                f"The stage '{stage}' left weights that are no numbers (NaN or infinite), first in '{name}'",
                "Lower train.arguments.learning_rate, the terms' weights or the stage's scale, or take fewer steps",
            )
