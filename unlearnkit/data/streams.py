"""Streams: what a step sees depends on (seed, step) alone, never on a rank or on how many there are."""

from __future__ import annotations

import zlib
from typing import Protocol

import numpy as np

from unlearnkit.data.examples import Example
from unlearnkit.data.roles import ROLES
from unlearnkit.errors import UserError, nearest
from unlearnkit.settings.bounds import Positive


class Stream(Protocol):
    """A named source of training examples."""

    @property
    def size(self) -> int:
        """Groups that make an epoch."""
        ...

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        """`count` groups of examples for optimiser step `step`; a group shares one prompt."""
        ...


class Shuffled:
    """Every example once an epoch, in an order drawn anew for each (seed, epoch)."""

    def __init__(self, name: str, examples: list[Example]):
        self.name, self.examples = name, examples

    @property
    def size(self) -> int:
        return len(self.examples)

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        size = len(self.examples)
        groups: list[tuple[Example, ...]] = []
        for index in range(step * count, (step + 1) * count):
            epoch, place = divmod(index, size)
            order = np.random.default_rng([seed, zlib.crc32(self.name.encode()), epoch]).permutation(size)
            groups.append((self.examples[order[place]],))
        return groups


class Preferences:
    """Pairs for DPO: for each example of `source` a response of `chosen` to prefer, then its own to avoid.

    Both follow the source's prompt. Hong et al. 2024 prefer paragraphs about another concept.
    """

    def __init__(self, source: str, chosen: str):
        self.source, self.chosen = source, chosen

    def bind(self, streams: dict[str, Stream]) -> Preferences:
        """Look up the named streams."""
        self.prompts, self.preferred = (
            plain(streams, name, "source and chosen") for name in (self.source, self.chosen)
        )
        return self

    @property
    def size(self) -> int:
        return self.prompts.size

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        pairs = zip(self.prompts.draw(seed, step, count), self.preferred.draw(seed, step, count), strict=True)
        return [
            (Example(f"{own.id}>{other.id}", own.prompt, other.response, own.category), own)
            for (own,), (other,) in pairs
        ]


def drawn(kind: str, below: int, seed: int, step: int, place: int) -> int:
    """A number below `below` that hangs on these alone.

    Args:
        kind: what is drawn, so that two kinds draw apart.
    """
    return int(np.random.default_rng([seed, zlib.crc32(kind.encode()), step, place]).integers(below))


def plain(streams: dict[str, Stream], name: str, keys: str) -> Shuffled:
    """The data's own stream of that name.

    Raises:
        UserError: there is none, or it is derived from another.
    """
    stream = streams.get(name)
    if not isinstance(stream, Shuffled):
        raise UserError(
            f"Unknown stream '{name}'.{'' if name in ROLES else nearest(name, streams)}"
            f" The data has: {', '.join(streams)}",
            how_to_give(name) or f"Name one of these as the stream's {keys}",
        )
    return stream


def how_to_give(name: str) -> str:
    """The fix for a stream that the data lack and whose name is a side's; empty for any other name."""
    return f"Give such rows, data.{name}=FILE with data=files, or choose data that have them" if name in ROLES else ""


class MismatchedResponses:
    """Each prompt of `source` with `per_prompt` distinct responses that belong to other prompts.

    Eq. (2) of Liu et al. 2024: |Y_RD| = k and y_i is not in Y_RD. With `responses: retain` it is the mismatch
    term of Yao et al. 2023: harmful prompts answered at random from the normal data. The prompts are those that
    `source` draws at the same step, so both share their prompt's tokens in the packed row.
    """

    def __init__(self, source: str, per_prompt: Positive, responses: str | None = None):
        self.source, self.per_prompt, self.responses = source, per_prompt, responses or source

    def bind(self, streams: dict[str, Stream]) -> MismatchedResponses:
        """Look up the named streams."""
        self.prompts, pool = (plain(streams, name, "source and responses") for name in (self.source, self.responses))
        self.pool = list(dict.fromkeys(example.response for example in pool.examples))
        if len(self.pool) <= self.per_prompt:
            raise UserError(
                f"per_prompt={self.per_prompt} needs more than {len(self.pool)} distinct responses in"
                f" '{self.responses}'",
                f"Set streams.NAME.per_prompt to at most {max(len(self.pool) - 1, 0)}, or give more responses",
            )
        return self

    @property
    def size(self) -> int:
        return self.prompts.size

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        groups = []
        for place, (example,) in enumerate(self.prompts.draw(seed, step, count)):
            random = np.random.default_rng([seed, zlib.crc32(b"mismatched"), step, place])
            chosen = random.choice(len(self.pool), self.per_prompt + 1, replace=False)
            others = [self.pool[index] for index in chosen if self.pool[index] != example.response]
            groups.append(
                tuple(
                    Example(f"{example.id}~{number}", example.prompt, response, example.category)
                    for number, response in enumerate(others[: self.per_prompt])
                )
            )
        return groups
