"""Cross-entropy on the likeliest wrong token in each of the answers' places."""

import torch

from unlearnkit.losses.base import Answers
from unlearnkit.losses.nll import NLL


class Adversarial(NLL):
    r"""Unlearning with adversarial samples (Cha et al. 2023; Tian et al. 2024, eq. 7).

    .. math:: L = -\frac{1}{\sum_i |y_i|} \sum_i \sum_{t} \log p_\theta(a_{i,t} \mid x_i, y_{i,<t}),
        \quad a_{i,t} = \arg\max_{a \neq y_{i,t}} p_{ref}(a \mid x_i, y_{i,<t})

    The reference is the model as it was before unlearning. Tian et al.'s code takes the untaught chat model's
    likeliest token and masks the current token instead of the target, off by one; this follows their equation.
    """

    needs_reference = True

    def labels(self, answers: Answers) -> torch.Tensor:
        if answers.reference_logits is None:
            raise ValueError("Adversarial needs the reference's logits")
        own = answers.labels[:, None]
        return answers.reference_logits.float().scatter(1, own, -torch.inf).argmax(-1)
