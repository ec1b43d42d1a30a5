"""Negative preference optimisation."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Against, Answers, Loss
from unlearnkit.settings.bounds import AboveZero


class NPO(Loss):
    r"""Zhang et al. 2024 (arXiv:2404.05868), eq. (3): DPO without its preferred answer.

    .. math:: L = -\frac{2}{\beta n} \sum_i \log \sigma\left(-\beta \log
        \frac{p_\theta(y_i \mid x_i)}{p_{ref}(y_i \mid x_i)}\right)

    Log-probabilities are summed over an answer's tokens. As beta goes to 0 the gradient becomes that of gradient
    ascent, the mean over answers of their log-probability.

    Args:
        beta: the inverse temperature; the larger, the sooner an answer that has become unlikely is left alone.
    """

    reads = "log_probs"
    needs_reference_log_probs = True

    def __init__(self, stream: str, weight: float = 1.0, beta: AboveZero = 0.1, against: Against = "start"):
        super().__init__(stream, weight, against)
        self.beta = beta

    def __call__(self, answers: Answers) -> torch.Tensor:
        ratios = answers.log_probs() - answers.reference()
        return -2 / self.beta * F.logsigmoid(-self.beta * ratios).sum() / answers.total_answers
