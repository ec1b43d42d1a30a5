"""Direct preference optimisation."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Against, Answers, Loss
from unlearnkit.settings.bounds import AboveZero


class DPO(Loss):
    r"""Rafailov et al. 2023, eq. (7), on a stream of `Preferences`: what should be said, then what should not.

    .. math:: L = -\frac{1}{n} \sum_i \log \sigma\left(\beta \log
        \frac{p_\theta(y^w_i \mid x_i)}{p_{ref}(y^w_i \mid x_i)} - \beta \log
        \frac{p_\theta(y^l_i \mid x_i)}{p_{ref}(y^l_i \mid x_i)}\right)

    Log-probabilities are summed over an answer's tokens; n counts pairs.
    """

    reads = "log_probs"
    needs_reference_log_probs = True

    def __init__(self, stream: str, weight: float = 1.0, beta: AboveZero = 0.1, against: Against = "start"):
        super().__init__(stream, weight, against)
        self.beta = beta

    def __call__(self, answers: Answers) -> torch.Tensor:
        ratios = answers.log_probs() - answers.reference()
        margins = ratios[0::2] - ratios[1::2]
        return -F.logsigmoid(self.beta * margins).sum() / (answers.total_answers / 2)
