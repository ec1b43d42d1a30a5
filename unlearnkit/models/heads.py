"""The head of a model: what of its logits may stand at once, and whether anything stands behind it."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from unlearnkit.models.anatomy import unwrapped
from unlearnkit.models.packing import pack
from unlearnkit.models.states import replaced

STANDING = 2**26  # logits of a row that may stand at once: 256 MiB in fp32


@torch.no_grad()
def ends_with_head(network: Any) -> bool:
    """Whether the logits are what the head makes of what it is given, or of a multiple: there is no cap behind it.

    Tried on some tokens, dropout off; the first of a vocabulary may be the padding, whose states are nought.
    """
    head = unwrapped(network).get_output_embeddings()
    if getattr(head, "weight", None) is None:
        return False
    row = pack({"any": [((1, 2), (3, 1))]}).to(head.weight.device)

    def head_input(factor: int) -> torch.Tensor:
        with passed_through(head, factor):
            return network(**row.inputs()).logits[0]

    states, logits = head_input(1), network(**row.inputs()).logits[0]
    if states.shape[-1] != head.weight.shape[-1] or not torch.equal(head_input(16), 16 * states):
        return False
    rounding = 1e-4 if logits.dtype == torch.float32 else 1e-2
    return bool((head(states) - logits).abs().max() <= rounding * logits.abs().max())


def config_ends_with_head(config: Any) -> bool:
    """The same by what the config says, for a network without weights."""
    return getattr(config, "final_logit_softcapping", None) is None


def passed_through(head: nn.Module, factor: int = 1) -> contextlib.AbstractContextManager[None]:
    """A head that gives what it is given, for the length of a `with`: the network then ends with its last states."""
    return replaced(head, lambda states: factor * states if factor != 1 else states)
