"""Hidden states driven to a random direction."""

import zlib

import torch

from unlearnkit.losses.base import Against, Answers, At, OfStates
from unlearnkit.settings.bounds import AboveZero, Depth


class Steer(OfStates):
    r"""RMU's forget side (Li et al. 2024, arXiv:2403.03218, section 4): a layer's states lead to one vector.

    .. math:: L = \frac{1}{n} \sum_i \frac{1}{|y_i|} \sum_t \frac{1}{d} \|h_{i,t} - c u\|^2, \quad
        u = \frac{r}{\|r\|},\ r \sim U(0, 1)^d

    The paper writes the squared norm; its code averages over the d dimensions, and so do we, or its weights would mean
    something else. The direction u is drawn from the run's seed and the stream's name, once and for all.

    Args:
        coefficient: c.
    """

    def __init__(
        self,
        stream: str,
        layer: Depth,
        coefficient: AboveZero,
        weight: float = 1.0,
        at: At = "answers",
        against: Against = "start",
    ):
        super().__init__(stream, layer, weight, at, against)
        self.coefficient = coefficient

    def __call__(self, answers: Answers) -> torch.Tensor:
        states = answers.hidden()
        target = self.coefficient * self.direction(answers.draw[0], states.shape[-1])
        return answers.mean_of_states((states - target.to(states.device)).square().mean(-1))

    def direction(self, seed: int, size: int) -> torch.Tensor:
        """(d,) of length 1, the same on every device and rank."""
        generator = torch.Generator().manual_seed(zlib.crc32(repr((seed, self.stream)).encode()))
        drawn = torch.rand(size, generator=generator)
        return drawn / drawn.norm()
