"""A hinge between the answer's token and its strongest rival, the wrong way round."""

import torch

from unlearnkit.losses.base import Answers, Loss


class InvertedHinge(Loss):
    r"""Cha et al. 2024 (LoKU, arXiv:2408.06621), eq. (4): down with the answer's token, up with the next likely one.

    .. math:: L = \frac{1}{N} \sum_t \left(1 + p_\theta(y_t \mid t) - \max_{v \neq y_t} p_\theta(v \mid t)\right)

    N counts answer tokens. It lies between 0 and 2, and its gradient is bounded, unlike that of ascent.
    """

    reads = "tokens"

    def __call__(self, answers: Answers) -> torch.Tensor:
        return answers.of_tokens(self._hinge).sum() / answers.total_tokens

    @staticmethod
    def _hinge(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        likeliest, tokens = logits.topk(2, dim=-1)
        rival = torch.where(tokens[:, 0] == labels, likeliest[:, 1], likeliest[:, 0])
        own = logits.gather(1, labels[:, None])[:, 0]
        whole = logits.logsumexp(-1)
        return 1 + (own - whole).exp() - (rival - whole).exp()
