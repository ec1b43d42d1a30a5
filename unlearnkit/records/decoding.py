"""How a response is decoded: one setting, hashed whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unlearnkit.errors import UserError
from unlearnkit.settings.bounds import Positive, Seed, Share, Temperature


@dataclass(frozen=True)
class Decoding:
    """Greedy where no temperature is given; else `samples` responses a prompt, drawn.

    Args:
        samples: responses a prompt; each is a record of its own.
        temperature: that logits are divided by.
        top_p: only the likeliest tokens that have this probability together are drawn from.
        seed: of the draws, which are the same whatever the number of ranks.

    Raises:
        UserError: several samples that would all be the greedy response.
    """

    samples: Positive = 1
    temperature: Temperature | None = None
    top_p: Share | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.temperature is None and (self.samples > 1 or self.top_p is not None):
            raise UserError(
                f"decoding has samples={self.samples}, top_p={self.top_p} and no temperature: every sample would be the"
                " greedy response",
                "Set decoding.temperature= above 0, such as 1.0, or leave samples and top_p out",
            )
        if self.top_p == 0:
            raise UserError("decoding.top_p=0 leaves no token to draw", "Set it above 0, or to null for all tokens")

    @property
    def greedy(self) -> bool:
        return self.temperature is None

    def arguments(self) -> dict[str, Any]:
        """Of `generate`; nothing of the model's own generation config decides a draw."""
        if self.greedy:
            return {"do_sample": False}
        return {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p or 1.0, "top_k": 0}


GREEDY = Decoding()
