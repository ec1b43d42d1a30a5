"""Losses of hidden states: what they read, and the mean that representation methods take."""

from __future__ import annotations

import torch

from unlearnkit.errors import UserError
from unlearnkit.losses.base import Against, Answers, Loss


def layer_number(layer: float, depth: int) -> int:
    """A layer's number from 0, of a number or of a share of the depth.

    Raises:
        UserError: the model is not that deep.
    """
    if isinstance(layer, float):
        return int(layer * depth)
    if layer >= depth:
        raise UserError(
            f"layer={layer}: the model has {depth} layers, 0 to {depth - 1}",
            "Set layer= to one of these, or to a share of the depth such as 0.22",
        )
    return layer


def check_layer(layer: object, key: str = "layer") -> float:
    """A layer as settings write it.

    Raises:
        UserError: neither a whole number from 0 nor a share between 0 and 1.
    """
    whole = isinstance(layer, int) and not isinstance(layer, bool) and layer >= 0
    if not whole and not (isinstance(layer, float) and 0 < layer < 1):
        raise UserError(
            f"{key}={layer} is neither a layer's number, from 0, nor a share of the depth between 0 and 1",
            f"Set {key}= to one of these, such as 7 or 0.22",
        )
    return layer  # type: ignore[return-value]


class OfStates(Loss):
    """A loss of the hidden states that a layer gives.

    Args:
        layer: its number from 0, or a share of the depth: 0.22 of 32 layers is layer 7.
        everywhere: at all tokens but an answer's last; else at those alone that predict the answer's tokens.
    """

    def __init__(
        self,
        stream: str,
        layer: float,
        weight: float = 1.0,
        everywhere: bool = False,
        against: Against = "start",
    ):
        super().__init__(stream, weight, against)
        self.layer, self.everywhere = check_layer(layer), everywhere

    def mean(self, values: torch.Tensor, answers: Answers) -> torch.Tensor:
        """Of (M,) values: over the tokens of each example, then over the step's examples."""
        rows = [part.mean() for part in values.split(answers.sizes_of_states)]
        return torch.stack(rows).sum() / answers.total_answers
