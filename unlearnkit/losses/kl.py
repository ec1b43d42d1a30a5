"""Divergence of the model from the reference."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Against, Answers, Loss, Mean, Padded
from unlearnkit.settings.bounds import Positive


class KL(Loss):
    r"""Forward KL from the reference, averaged over the answer tokens of the step.

    .. math:: L = \frac{1}{N} \sum_t \sum_v p_{ref}(v \mid t) \log \frac{p_{ref}(v \mid t)}{p_\theta(v \mid t)}

    With weight +1 it keeps the model near the reference (Yao et al. 2023). Liu et al. 2024 call the *negative*
    of this sum KL in eq. (4) and add its gradient in eq. (6), which read literally would shrink the divergence;
    their prose ("diverge") and their code grow it, and so does `weight: -1` here. Their code also counts prompt
    and padding positions (`KLAsPublished`); this counts answer tokens alone, as eq. (5) has it.
    """

    reads, needs_reference = "tokens", True

    def __call__(self, answers: Answers) -> torch.Tensor:
        return answers.compared(self._divergence).sum() / answers.total_tokens

    @staticmethod
    def _divergence(logits: torch.Tensor, _labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        log_p, log_q = reference.log_softmax(-1), logits.log_softmax(-1)
        return F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)


class KLAsPublished(Loss):
    r"""The same as the code of Tian et al. 2024 and Liu et al. 2024 has it (after Yao et al. 2023): a cross-entropy.

    .. math:: L = -\frac{1}{n} \sum_i \frac{1}{L} \sum_{t=1}^{L} \sum_v
        p_{ref}(v \mid t) \log (p_\theta(v \mid t) + 10^{-12})

    Its gradient is the KL's, but t goes over all L places of a padded batch, those of the prompt and the padding too,
    so that an answer of some forty tokens in 256 places weighs a seventh. The reference's entropy, which has no
    gradient, is not taken off. Padding is what is not attended to, behind the text; the token that ends an answer is
    not among its inputs there.

    Args:
        length: L (256 in Tian et al.); None: the longest example's of the micro-batch (Liu et al.).
        mean: n counts the stream's own answers, or those of the whole step, see `NLL`.
    """

    needs_reference = True

    def __init__(
        self,
        stream: str,
        weight: float = 1.0,
        length: Positive | None = None,
        mean: Mean = "answers",
        against: Against = "start",
    ):
        super().__init__(stream, weight, against)
        self.reads, self.mean = Padded(length), mean

    def __call__(self, answers: Answers) -> torch.Tensor:
        if answers.padded is None or answers.reference_padded is None:
            raise ValueError("KLAsPublished needs the padded logits of the model and of the reference")
        p, q = answers.reference_padded.float().softmax(-1), answers.padded.float().softmax(-1)
        losses = -(p * (q + 1e-12).log()).sum(-1).mean(-1)
        return losses.sum() / answers.over(self.mean)
