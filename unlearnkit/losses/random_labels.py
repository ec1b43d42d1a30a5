"""Cross-entropy on random tokens in the answers' places."""

import zlib

import torch

from unlearnkit.losses.base import Answers, log_probs_of
from unlearnkit.losses.nll import NLL


class RandomLabels(NLL):
    r"""Fine-tuning with random labels (Golatkar et al. 2020; Yao et al. 2024; Tian et al. 2024, section 3.2).

    .. math:: L = -\frac{1}{\sum_i |y_i|} \sum_i \sum_{t} \log p_\theta(r_{i,t} \mid x_i, y_{i,<t}),
        \quad r_{i,t} \sim U(V \setminus \{y_{i,t}\})

    Drawn from (seed, step, the answer), so any split over ranks draws the same. Tian et al.'s code puts random
    tokens in the prompt's places as well; prompts are no labels here.
    """

    reads = "tokens"

    def losses(self, answers: Answers) -> torch.Tensor:
        return -answers.of_tokens(log_probs_of, self.labels(answers))

    @staticmethod
    def labels(answers: Answers) -> torch.Tensor:
        """(N,) the drawn tokens."""
        size = answers.logits.shape[-1]
        parts = []
        for own in answers.labels.cpu().split(answers.lengths):
            seed = zlib.crc32(repr((*answers.draw, own.tolist())).encode())
            shift = torch.randint(1, size, own.shape, generator=torch.Generator().manual_seed(seed))
            parts.append((own + shift) % size)  # never the token itself
        return torch.cat(parts).to(answers.labels.device)
