"""Cross-entropy unlearning."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Against, Answers, Loss


class CEU(Loss):
    r"""Yang 2025 (arXiv:2503.01224), eq. (5): the model learns its own distribution without the right token.

    .. math:: L = -\frac{1}{N} \sum_t \sum_v q_t(v) \log p_\theta(v \mid t), \quad
        q_t = \mathrm{softmax}(z_t \text{ with } z_t(y_t) = -\infty)

    The target q is a constant: no gradient flows through it.

    Args:
        skip_first: leave the first token of each answer alone, as the paper's footnote on training has it.
    """

    reads = "tokens"

    def __init__(self, stream: str, weight: float = 1.0, skip_first: bool = True, against: Against = "start"):
        super().__init__(stream, weight, against)
        self.skip_first = skip_first

    def __call__(self, answers: Answers) -> torch.Tensor:
        losses = answers.of_tokens(self._cross_entropy)
        if not self.skip_first:
            return losses.sum() / answers.total_tokens
        predicted = max(answers.total_tokens - answers.total_answers, 1)  # every answer has a token at least, its end
        return sum((part[1:].sum() for part in losses.split(answers.lengths)), losses.new_zeros(())) / predicted

    @staticmethod
    def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target = logits.detach().scatter(1, labels[:, None], float("-inf")).softmax(-1)
        return F.cross_entropy(logits, target, reduction="none")
