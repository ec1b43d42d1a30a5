"""Negative log-likelihood of the answers."""

from __future__ import annotations

from typing import Literal

import torch

from unlearnkit.losses.base import Against, Answers, Loss, Reads


class NLL(Loss):
    r"""Cross-entropy on answer tokens, averaged over the step's tokens, or over each answer's and then over answers.

    Liu et al. 2024, eqs. (1) to (3); with a negative weight it is gradient ascent, their eq. (10):

    .. math:: L = -\frac{1}{\sum_i |y_i|} \sum_i \sum_{t} \log p_\theta(y_{i,t} \mid x_i, y_{i,<t})

    The paper writes sums, in which every token counts alike, and so it does here; a mean, so that a weight means the
    same at any batch. With `mean="answers"` every answer counts alike, as in the authors' code:

    .. math:: L = -\frac{1}{n} \sum_i \frac{1}{|y_i|} \sum_{t} \log p_\theta(y_{i,t} \mid x_i, y_{i,<t})

    With `mean="step"` the n are the answers of all streams of the step: batches of one row with accumulation, as in the
    code of Tian et al. 2024, whose steps hold rows of both scopes (`unlearnkit.data.listed`).
    """

    reads: Reads = "log_probs"

    def __init__(
        self,
        stream: str,
        weight: float = 1.0,
        mean: Literal["tokens", "answers", "step"] = "tokens",
        against: Against = "start",
    ):
        super().__init__(stream, weight, against)
        self.mean = mean

    def __call__(self, answers: Answers) -> torch.Tensor:
        losses = self.losses(answers)
        if self.mean == "tokens":
            return losses.sum() / answers.total_tokens
        return torch.stack([part.mean() for part in losses.split(answers.lengths)]).sum() / answers.over(self.mean)

    def losses(self, answers: Answers) -> torch.Tensor:
        """(N,) of each answer token."""
        return -answers.token_log_probs()
