"""No token above the others."""

import torch

from unlearnkit.losses.base import Answers, Loss


class LogitFlattening(Loss):
    r"""Entesari et al. 2025 (arXiv:2506.05314): the largest logit is drawn to the mean of all.

    .. math:: L = \frac{1}{N} \sum_t \left(\max_v z_{t,v} - \frac{1}{V} \sum_v z_{t,v}\right)^2

    The answers' own tokens are not read. This averages over the positions that predict the answers, OpenUnlearning's
    code over the positions one later, where the answers' own tokens stand.
    """

    reads = "tokens"

    def __call__(self, answers: Answers) -> torch.Tensor:
        return answers.of_tokens(self._peak).sum() / answers.total_tokens

    @staticmethod
    def _peak(logits: torch.Tensor, _labels: torch.Tensor) -> torch.Tensor:
        return (logits.amax(-1) - logits.mean(-1)).square()
