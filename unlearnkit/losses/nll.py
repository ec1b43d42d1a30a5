"""Negative log-likelihood of the answers."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Answers, Loss


class NLL(Loss):
    r"""Cross-entropy on answer tokens, averaged over the tokens of the step.

    Liu et al. 2024, eqs. (1) to (3); with a negative weight it is gradient ascent, their eq. (10):

    .. math:: L = -\frac{1}{\sum_i |y_i|} \sum_i \sum_{t} \log p_\theta(y_{i,t} \mid x_i, y_{i,<t})

    The paper writes sums; its code averages over tokens, and so do we (a weight means the same at any batch).
    """

    def __call__(self, answers: Answers) -> torch.Tensor:
        return F.cross_entropy(answers.logits.float(), answers.labels, reduction="sum") / answers.total_tokens
