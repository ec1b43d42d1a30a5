"""Hidden states drawn to one random direction."""

from __future__ import annotations

import torch

from unlearnkit.losses.base import Against, Answers
from unlearnkit.losses.states import OfStates
from unlearnkit.settings.bounds import AboveZero


class Steer(OfStates):
    r"""RMU's forget loss (Li et al. 2024, arXiv:2403.03218, section 4), over d as in the authors' code.

    .. math:: L = \frac{1}{n} \sum_i \frac{1}{T_i} \sum_t \frac{1}{d} \lVert h_\theta(x_{i,t}) - c\,u \rVert^2

    u has entries that are uniform in [0, 1), divided by its norm; it is drawn once a run, from the run's seed.

    Args:
        coefficient: c, the length that states are drawn to.
    """

    def __init__(
        self,
        stream: str,
        layer: float,
        weight: float = 1.0,
        coefficient: AboveZero = 6.5,
        everywhere: bool = False,
        against: Against = "start",
    ):
        super().__init__(stream, layer, weight, everywhere, against)
        self.coefficient = coefficient

    def direction(self, size: int, seed: int) -> torch.Tensor:
        """(d,) the unit vector u; the same on every rank."""
        drawn = torch.rand(size, generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm()

    def __call__(self, answers: Answers) -> torch.Tensor:
        assert answers.states is not None
        states = answers.states.float()
        wanted = self.coefficient * self.direction(states.shape[-1], answers.draw[0]).to(states.device)
        return self.mean(((states - wanted) ** 2).mean(-1), answers)
