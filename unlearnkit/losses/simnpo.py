"""Negative preference optimisation without a reference."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Against, Answers, Loss
from unlearnkit.settings.bounds import AboveZero


class SimNPO(Loss):
    r"""Fan et al. 2024 (arXiv:2410.07163), eq. (4): NPO with an answer's length in place of the reference.

    .. math:: L = -\frac{2}{\beta n} \sum_i \log \sigma\left(-\frac{\beta}{|y_i|} \log p_\theta(y_i \mid x_i)
        - \gamma\right)

    Args:
        beta: the inverse temperature.
        margin: the paper's gamma, the reward margin. The authors' code and OpenUnlearning's subtract a delta from the
            mean before they multiply by beta: their delta is margin / beta.
    """

    reads = "log_probs"

    def __init__(
        self,
        stream: str,
        weight: float = 1.0,
        beta: AboveZero = 4.5,
        margin: float = 0.0,
        against: Against = "start",
    ):
        super().__init__(stream, weight, against)
        self.beta, self.margin = beta, float(margin)

    def __call__(self, answers: Answers) -> torch.Tensor:
        means = answers.log_probs() / answers.sizes()
        return -2 / self.beta * F.logsigmoid(-self.beta * means - self.margin).sum() / answers.total_answers
