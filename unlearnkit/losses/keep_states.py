"""Hidden states kept where the reference has them."""

import torch

from unlearnkit.losses.base import Answers
from unlearnkit.losses.states import OfStates


class KeepStates(OfStates):
    r"""RMU's retain loss (Li et al. 2024, arXiv:2403.03218, section 4), over d as in the authors' code.

    .. math:: L = \frac{1}{n} \sum_i \frac{1}{T_i} \sum_t
        \frac{1}{d} \lVert h_\theta(x_{i,t}) - h_{ref}(x_{i,t}) \rVert^2
    """

    needs_reference = True

    def __call__(self, answers: Answers) -> torch.Tensor:
        assert answers.states is not None and answers.reference_states is not None
        away = answers.states.float() - answers.reference_states.float()
        return self.mean((away**2).mean(-1), answers)
