"""Self-distillation from the start's own logits, the forgotten token's lowered."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Against, Answers, Loss
from unlearnkit.settings.bounds import AboveZero


class UNDIAL(Loss):
    r"""Dong et al. 2024 (arXiv:2402.10052), eqs. (2) and (3): cross-entropy with the teacher's adjusted distribution.

    .. math:: L = -\frac{1}{N} \sum_t \sum_v q_t(v) \log p_\theta(v \mid t), \quad
        q_t = \mathrm{softmax}(z_{ref,t} - \beta e_{y_t})

    OpenUnlearning averages over prompts and padding too; this averages over answer tokens, as the paper has it.

    Args:
        beta: what is taken from the teacher's logit of the answer's token.
    """

    reads, needs_reference = "tokens", True

    def __init__(self, stream: str, weight: float = 1.0, beta: AboveZero = 10.0, against: Against = "start"):
        super().__init__(stream, weight, against)
        self.beta = beta

    def __call__(self, answers: Answers) -> torch.Tensor:
        return answers.compared(self._cross_entropy).sum() / answers.total_tokens

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        change = torch.full_like(labels, -self.beta, dtype=torch.float32)[:, None]
        teacher = reference.scatter_add(1, labels[:, None], change)
        return F.cross_entropy(logits, teacher.softmax(-1), reduction="none")
