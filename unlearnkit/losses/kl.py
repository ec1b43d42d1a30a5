"""Divergence of the model from the reference on the answers."""

import torch
import torch.nn.functional as F

from unlearnkit.losses.base import Answers, Loss


class KL(Loss):
    r"""Forward KL from the reference, averaged over the answer tokens of the step.

    .. math:: L = \frac{1}{N} \sum_t \sum_v p_{ref}(v \mid t) \log \frac{p_{ref}(v \mid t)}{p_\theta(v \mid t)}

    With weight +1 it keeps the model near the reference (Yao et al. 2023). Liu et al. 2024 call the *negative*
    of this sum KL in eq. (4) and add its gradient in eq. (6), which read literally would shrink the divergence;
    their prose ("diverge") and their code grow it, and so does `weight: -1` here. Their code also counts prompt
    and padding positions; this counts answer tokens alone, as eq. (5) has it.
    """

    needs_reference = True

    def __call__(self, answers: Answers) -> torch.Tensor:
        if answers.reference_logits is None:
            raise ValueError("KL needs the reference's logits")
        log_p = F.log_softmax(answers.reference_logits.float(), dim=-1)
        log_q = F.log_softmax(answers.logits.float(), dim=-1)
        return F.kl_div(log_q, log_p, log_target=True, reduction="sum") / answers.total_tokens
