"""Hidden states kept where the reference has them."""

import torch

from unlearnkit.losses.base import Answers, OfStates


class KeepStates(OfStates):
    r"""RMU's retain side (Li et al. 2024, arXiv:2403.03218, section 4): a layer's states stay as they were.

    .. math:: L = \frac{1}{n} \sum_i \frac{1}{|y_i|} \sum_t \frac{1}{d} \|h_{i,t} - h_{ref,i,t}\|^2

    Averaged over the d dimensions as in the paper's code, see `Steer`.
    """

    needs_reference = True

    def __call__(self, answers: Answers) -> torch.Tensor:
        if answers.reference_states is None:
            raise ValueError("KeepStates needs the reference's states")
        apart = answers.hidden() - answers.reference_states.float()
        return answers.mean_of_states(apart.square().mean(-1))
