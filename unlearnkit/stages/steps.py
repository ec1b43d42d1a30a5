"""The optimiser steps of a finetune stage as a data set: item i is one rank's packed micro-batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from unlearnkit.data.packing import Packed, Tokenise, Tokens, pack
from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError


@dataclass
class Step:
    """A packed micro-batch, the part of it that the reference sees, and the whole step's totals.

    `totals`: stream -> (answer tokens, answers) of the optimiser step, over all its micro-batches.
    """

    number: int
    packed: Packed
    reference: Packed | None
    totals: dict[str, tuple[int, int]]
    seed: int = 0

    def to(self, device: torch.device | str, **_: Any) -> Step:
        """The same step on a device."""
        reference = self.reference.to(device) if self.reference else None
        return Step(self.number, self.packed.to(device), reference, self.totals, self.seed)


class Steps(Dataset):
    """Item i is shard i % shards of step i // shards; with one item a batch, the Trainer's rank r gets items
    r, r + world, ... in order, so any number of ranks and micro-batches sees the same steps.

    Args:
        reference_streams: the streams whose terms compare with the reference.
        shards: ranks x micro-batches that a step is split into; at most `batch_size`.
    """

    def __init__(
        self,
        streams: dict[str, Stream],
        reference_streams: set[str],
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
        self.streams, self.reference_streams, self.tokenise = streams, reference_streams, tokenise
        self.seed, self.batch_size, self.max_steps, self.shards = seed, batch_size, max_steps, shards

    def __len__(self) -> int:
        return self.max_steps * self.shards

    def __getitem__(self, index: int) -> Step:
        number, shard = divmod(index, self.shards)
        mine: dict[str, list[Tokens]] = {}
        totals: dict[str, tuple[int, int]] = {}
        for name, stream in self.streams.items():
            groups = [
                [self.tokenise(example) for example in group]
                for group in stream.draw(self.seed, number, self.batch_size)
            ]
            answers = [response for group in groups for _, response in group]
            totals[name] = (sum(len(response) for response in answers), len(answers))
            mine[name] = [tokens for group in groups[shard :: self.shards] for tokens in group]
        reference = {name: mine[name] for name in mine if name in self.reference_streams}
        return Step(number, pack(mine), pack(reference) if reference else None, totals, self.seed)

    def check(self) -> None:
        """Tokenise every example that will be drawn, so that a bad one stops the run before it has cost anything."""
        for number in tqdm(range(self.max_steps), desc="Tokenising", leave=False):
            for stream in self.streams.values():
                for group in stream.draw(self.seed, number, self.batch_size):
                    for example in group:
                        self.tokenise(example)
