"""Hidden states kept where the reference has them."""

from typing import Literal

import torch

from unlearnkit.losses.base import Against, Answers, Loss, States
from unlearnkit.settings.bounds import Depth


class KeepStates(Loss):
    r"""RMU's retain side (Li et al. 2024, arXiv:2403.03218, section 4): a layer's states stay as they were.

    .. math:: L = \frac{1}{n} \sum_i \frac{1}{|y_i|} \sum_t \frac{1}{d} \|h_{i,t} - h_{ref,i,t}\|^2

    Averaged over the d dimensions as in the paper's code, see `Steer`.

    Args:
        layer: its number, or its share of the depth.
        at: "answers": states at the positions that predict the answers; "all": at prompts too.
    """

    needs_reference = True

    def __init__(
        self,
        stream: str,
        layer: Depth,
        weight: float = 1.0,
        at: Literal["answers", "all"] = "answers",
        against: Against = "start",
    ):
        super().__init__(stream, weight, against)
        self.reads = States(layer, at)

    def __call__(self, answers: Answers) -> torch.Tensor:
        if answers.reference_states is None:
            raise ValueError("KeepStates needs the reference's states")
        apart = answers.hidden() - answers.reference_states.float()
        return answers.mean_of_states(apart.square().mean(-1))
