"""The optimiser steps of a finetune stage as a data set: item i is one rank's micro-batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError
from unlearnkit.models.packing import Packed, Tokenise, Tokens, pack


@dataclass
class Step:
    """A micro-batch, and the whole step's totals.

    Args:
        examples: stream -> its examples here.
        totals: stream -> (answer tokens, answers) of the optimiser step, over all its micro-batches.
        reference_log_probs: state -> stream -> (n,) of its answers here, where a term needs them.
    """

    number: int
    examples: dict[str, list[Tokens]]
    totals: dict[str, tuple[int, int]]
    seed: int = 0
    reference_log_probs: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    device: torch.device | str = "cpu"

    def row(self, streams: Iterable[str]) -> Packed | None:
        """What a pass over these streams is given, each of them once; None where none has an example here."""
        mine = {name: self.examples[name] for name in streams}
        return pack(mine).to(self.device) if any(mine.values()) else None

    def to(self, device: torch.device | str, **_: Any) -> Step:
        """The same step on a device (accelerate calls this with `non_blocking=`)."""
        log_probs = {
            state: {name: values.to(device) for name, values in streams.items()}
            for state, streams in self.reference_log_probs.items()
        }
        return replace(self, reference_log_probs=log_probs, device=device)


class Steps(Dataset):
    """Item i is shard i % shards of step i // shards; with one item a batch, the Trainer's rank r gets items
    r, r + world, ... in order, so any number of ranks and micro-batches sees the same steps.

    Args:
        shards: ranks x micro-batches that a step is split into; at most `batch_size`.
        scored: state -> example -> its log-probability in that state of the model.
    """

    def __init__(
        self,
        streams: dict[str, Stream],
        tokenise: Tokenise,
        seed: int,
        batch_size: int,
        max_steps: int,
        shards: int = 1,
    ):
        if batch_size % shards:
            raise UserError(
                f"train.batch_size={batch_size} does not split into {shards} ranks x micro-batches",
                f"Set train.batch_size to a multiple of {shards}, or train.accumulation lower",
            )
        self.streams, self.tokenise = streams, tokenise
        self.seed, self.batch_size, self.max_steps, self.shards = seed, batch_size, max_steps, shards
        self.scored: dict[str, dict[Tokens, float]] = {}

    def __len__(self) -> int:
        return self.max_steps * self.shards

    def __getitem__(self, index: int) -> Step:
        number, shard = divmod(index, self.shards)
        mine: dict[str, list[Tokens]] = {}
        totals: dict[str, tuple[int, int]] = {}
        place = 0  # of a group among those of all streams, which shards take in turn
        for name, stream in self.streams.items():
            groups = [
                [self.tokenise(example) for example in group]
                for group in stream.draw(self.seed, number, self.batch_size)
            ]
            answers = [response for group in groups for _, response in group]
            totals[name] = (sum(len(response) for response in answers), len(answers))
            mine[name] = [tokens for group in groups[(shard - place) % self.shards :: self.shards] for tokens in group]
            place += len(groups)
        if not any(mine.values()):
            raise UserError(
                f"Step {number + 1} has no row for micro-batch {shard + 1} of {self.shards}: a list has one side only",
                "Set train.accumulation=1, or give the term on that side a weight",
            )
        log_probs = {
            state: {
                name: torch.tensor([known[example] for example in examples])
                for name, examples in mine.items()
                if known and all(example in known for example in examples)
            }
            for state, known in self.scored.items()
        }
        return Step(number, mine, totals, self.seed, log_probs)

    def examples(self) -> dict[str, list[Tokens]]:
        """stream -> every distinct example that will be drawn, in order.

        Tokenising them all at once stops the run at a bad one before it has cost anything.
        """
        drawn: dict[str, dict[Tokens, None]] = {name: {} for name in self.streams}
        for number in tqdm(range(self.max_steps), desc="Tokenising", leave=False):
            for name, stream in self.streams.items():
                for group in stream.draw(self.seed, number, self.batch_size):
                    drawn[name].update(dict.fromkeys(self.tokenise(example) for example in group))
        return {name: list(examples) for name, examples in drawn.items()}
