"""Gradient ascent that weighs each token by how likely it still is."""

import torch

from unlearnkit.losses.base import Against, Answers, Loss
from unlearnkit.settings.bounds import Nonnegative


class SatImp(Loss):
    r"""Yang et al. 2025 (arXiv:2505.11953), eqs. (8) to (10): saturation times importance, averaged over the tokens.

    .. math:: L = \frac{1}{N} \sum_t p_t^{\beta_1} (1 - p_t)^{\beta_2} \log p_t

    The weights p are constants: no gradient flows through them.

    Args:
        saturation: beta_1; the larger, the less is done to tokens that are unlikely already.
        importance: beta_2; the larger, the less is done to tokens that are certain, which any text has.
    """

    reads = "log_probs"

    def __init__(
        self,
        stream: str,
        weight: float = 1.0,
        saturation: Nonnegative = 5.0,
        importance: Nonnegative = 1.0,
        against: Against = "start",
    ):
        super().__init__(stream, weight, against)
        self.saturation, self.importance = saturation, importance

    def __call__(self, answers: Answers) -> torch.Tensor:
        logs = answers.token_log_probs()
        p = logs.detach().exp()
        return (p**self.saturation * (1 - p) ** self.importance * logs).sum() / answers.total_tokens
