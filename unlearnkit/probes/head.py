"""The output embedding, and errors of logits that are never computed."""

from __future__ import annotations

from typing import Any

import torch

from unlearnkit.errors import UserError
from unlearnkit.probes.layers import plain

ROWS = 8192  # of the vocabulary, turned to float32 at a time


class Head:
    """The output embedding W (V, H), in float32 whatever the model computes in.

    Raises:
        UserError: logits that are no plain product of states and W.
    """

    def __init__(self, model: Any):
        module: Any = plain(model.get_output_embeddings())
        if getattr(module, "bias", None) is not None:
            raise UserError(
                f"The output embedding of architecture '{model.config.model_type}' has a bias, which KRS cannot use",
                "Choose a model without one, such as those named in unlearnkit/models/anatomy.py",
            )
        self.parts = module.weight.detach().split(ROWS)
        self.size = len(module.weight)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """(K, V) of states (K, H)."""
        return torch.cat([states.float() @ part.float().T for part in self.parts], dim=1)


class Errors:
    """The mean squared difference over the vocabulary of any states' logits from the original's, by position.

    With d = h - h_o, G = W'W and D = W h_o - L_o (which is 0 unless the output embedding was changed),

        |W h - L_o|^2 = d'G d + 2 d'(W'D) + |D|^2

    which takes H x H numbers a position where logits take V x H. Nothing is lost where h comes close to h_o.

    Args:
        head: the unlearned model's.
    """

    def __init__(self, head: Head):
        self.head = head
        self.gram = sum(part.float().T @ part.float() for part in head.parts)

    def against(self, states: torch.Tensor, logits: torch.Tensor) -> ErrorsOfRow:
        """For the original's states (K, H) and logits (K, V)."""
        changed = self.head.logits(states) - logits
        turned = sum(
            some @ part.float() for some, part in zip(changed.split(ROWS, dim=1), self.head.parts, strict=True)
        )
        return ErrorsOfRow(self.gram, states.float(), 2 * turned, changed.square().sum(-1), self.head.size)


class ErrorsOfRow:
    """See `Errors`; calling it with states (K, H) gives the errors (K,)."""

    def __init__(
        self, gram: torch.Tensor, states: torch.Tensor, linear: torch.Tensor, constant: torch.Tensor, size: int
    ):
        self.gram, self.states, self.linear, self.constant, self.size = gram, states, linear, constant, size

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        away = states.float() - self.states
        return ((away @ self.gram + self.linear) * away).sum(-1).add(self.constant).clamp_min(0) / self.size
