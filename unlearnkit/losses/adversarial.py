"""Cross-entropy on the likeliest wrong token in each of the answers' places."""

import torch

from unlearnkit.losses.base import Answers, log_probs_of
from unlearnkit.losses.nll import NLL


class Adversarial(NLL):
    r"""Unlearning with adversarial samples (Cha et al. 2023; Tian et al. 2024, eq. 7).

    .. math:: L = -\frac{1}{\sum_i |y_i|} \sum_i \sum_{t} \log p_\theta(a_{i,t} \mid x_i, y_{i,<t}),
        \quad a_{i,t} = \arg\max_{a \neq y_{i,t}} p_{ref}(a \mid x_i, y_{i,<t})

    The reference is the model as it was before unlearning. Tian et al.'s code takes the untaught chat model's
    likeliest token and masks the current token instead of the target, off by one; this follows their equation.
    """

    reads, needs_reference = "tokens", True

    def losses(self, answers: Answers) -> torch.Tensor:
        return answers.compared(self._loss)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return -log_probs_of(logits, self.rivals(labels, reference))

    @staticmethod
    def rivals(labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """(N,) a: each place's likeliest token that is not the label, of (N, V) logits."""
        return reference.scatter(1, labels[:, None], -torch.inf).argmax(-1)
