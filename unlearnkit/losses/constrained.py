"""What should stay as a constraint: descent whose weight is a dual variable."""

from unlearnkit.errors import UserError
from unlearnkit.losses.base import Against
from unlearnkit.losses.nll import NLL
from unlearnkit.settings.bounds import AboveZero, Count


class Constrained(NLL):
    r"""NLL(retain) <= epsilon, by gradient ascent on its multiplier (Entesari et al. 2025, arXiv:2506.05314).

    .. math:: \min_\theta L_{forget}(\theta) + \lambda\,(L(\theta) - \epsilon), \quad
        \lambda \leftarrow \max(0, \lambda + \eta\,(L(\theta) - \epsilon)) \text{ after each step}

    Epsilon itself has no gradient, so the term's value is the plain `NLL`, and its weight is lambda.

    Args:
        weight: lambda at the start.
        epsilon: the loss a token, in nats, that is allowed; a little above the start model's own.
        rate: eta.
        warmup_steps: lambda stays as it is for so many steps.

    Raises:
        UserError: no epsilon.
    """

    carries = True

    def __init__(
        self,
        stream: str,
        weight: AboveZero = 1.0,
        epsilon: AboveZero | None = None,
        rate: AboveZero = 1.0,
        warmup_steps: Count = 0,
        against: Against = "start",
    ):
        super().__init__(stream, weight, against=against)
        if epsilon is None:
            raise UserError(
                f"The constraint on '{stream}' has no epsilon: the loss a token that is allowed there",
                "Set it a little above the start model's own with stages.STAGE.terms.NAME.epsilon=",
            )
        self.epsilon, self.rate, self.warmup_steps = epsilon, rate, warmup_steps

    def after_step(self, step: int, value: float) -> None:
        if step > self.warmup_steps:
            self.weight = max(0.0, self.weight + self.rate * (value - self.epsilon))

    def state(self) -> dict[str, float]:
        return {"multiplier": self.weight}

    def restore(self, state: dict[str, float]) -> None:
        self.weight = float(state["multiplier"])
