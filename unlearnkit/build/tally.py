"""What a build has cost so far: requests, tokens, price."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from unlearnkit.build.checks import check_number
from unlearnkit.errors import UserError


@dataclass(frozen=True)
class Answer:
    """A server's answer; `whole` if it was not cut off at `max_tokens`; None where it does not count tokens."""

    text: str
    whole: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    cached: bool = False


class Tally:
    """Counts answers from any thread, those asked for now apart from those found in the cache.

    Args:
        price_per_million: of `input` and `output` tokens, in whatever currency the price is in.
    Raises:
        UserError: for a price that is not two numbers.
    """

    def __init__(self, price_per_million: dict[str, float] | None = None):
        price = price_per_million
        if price is not None and not (isinstance(price, dict) and set(price) == {"input", "output"}):
            raise UserError(
                f"price_per_million is {price}, not the prices of a million tokens.",
                "Write price_per_million='{input: 2.5, output: 10}'",
            )
        for which, number in (price or {}).items():
            check_number(f"price_per_million.{which}", number, 0, 1e6, whole=False)
        self.price, self.lock = price, threading.Lock()
        self.counts = {
            when: {"requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "uncounted": 0}
            for when in ("asked", "cached")
        }
        self.refused = 0

    def add(self, answer: Answer) -> None:
        """One more answer; `uncounted` if the server did not say how many tokens it took."""
        with self.lock:
            counts = self.counts["cached" if answer.cached else "asked"]
            counts["requests"] += 1
            counts["prompt_tokens"] += answer.prompt_tokens or 0
            counts["completion_tokens"] += answer.completion_tokens or 0
            counts["uncounted"] += answer.prompt_tokens is None or answer.completion_tokens is None

    def refuse(self) -> None:
        """One of the answers was malformed."""
        with self.lock:
            self.refused += 1

    @property
    def done(self) -> int:
        """Answers so far, the cached ones among them."""
        return sum(counts["requests"] for counts in self.counts.values())

    def cost(self, *when: str) -> float | None:
        """Of the answers asked now or cached; None without a price."""
        if self.price is None:
            return None
        return sum(
            self.counts[one]["prompt_tokens"] * self.price["input"] / 1e6
            + self.counts[one]["completion_tokens"] * self.price["output"] / 1e6
            for one in when
        )

    def line(self) -> str:
        """What was done, and what this run (not the cache) took."""
        usage, cost = self.counts["asked"], self.cost("asked")
        parts = [
            f"{self.done} requests done, {self.counts['cached']['requests']} of them cached",
            f"{self.refused} answers refused",
            f"{usage['prompt_tokens']:,} prompt and {usage['completion_tokens']:,} completion tokens",
        ]
        if usage["uncounted"]:
            parts.append(f"{usage['uncounted']} answers without a token count")
        return "; ".join(parts) + ("" if cost is None else f"; cost {cost:.4f}")

    def as_dict(self) -> dict[str, Any]:
        """For build.json: `cost.all` is what the whole data set took, the cached answers at today's price."""
        costs = {"this_run": self.cost("asked"), "all": self.cost("asked", "cached")}
        return {**self.counts, "refused": self.refused, "cost": costs, "price_per_million": self.price}
