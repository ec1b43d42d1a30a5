"""Changes of the weights that anyone can make without data: noise, pruning, a step back to the start."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from unlearnkit.attacks.base import Of, OfWeights
from unlearnkit.evaluations.base import Evaluations, Records
from unlearnkit.models import LanguageModel
from unlearnkit.models.adapter import AdapterLineage
from unlearnkit.models.copies import changed, readable
from unlearnkit.settings.bounds import AboveZero, Positive, Seed, Share

PIECE = 2**22  # weights that are looked at together


class Change(OfWeights):
    """A change of each weight matrix, on a copy."""

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        with changed(model) as attacked:
            with torch.no_grad():
                self.change(attacked.model, model)
            yield attacked

    @abstractmethod
    def change(self, network: Any, model: LanguageModel) -> None:
        """Change the copy's network in place; `model` is what it was copied from."""


class Noise(Change):
    """w <- w + scale * std(w) * N(0, 1), for every weight matrix w.

    Every draw is measured on all prompts, and has records of its own. A measure takes the mean over draws of each
    prompt first, so that its interval is over prompts.

    Args:
        scale: of the noise, in standard deviations of the matrix.
        draws: how many.
        seed: another number is another noise.
    """

    def __init__(self, scale: AboveZero, draws: Positive = 3, seed: Seed = 0):
        self.scale, self.draws, self.seed, self.draw = scale, draws, seed, 0

    def _measure(self, model: LanguageModel, own: Evaluations, phrase: str, start: Records | None, of: Of) -> Records:
        merged: Records = {}
        for draw in range(self.draws):
            self.draw = draw
            for name, records in super()._measure(model, own, phrase, start, of).items():
                merged.setdefault(name, []).extend(replace(record, draw=draw) for record in records)
        return merged

    def change(self, network: Any, model: LanguageModel) -> None:
        generator = torch.Generator().manual_seed((1_000_003 * self.scene.seed + self.seed) * 1_009 + self.draw)
        for weight in matrices(network):
            noise = torch.randn(weight.shape, generator=generator).to(weight.device, weight.dtype)
            weight.add_(noise, alpha=self.scale * float(weight.std()))


class Prune(Change):
    """The smallest weights of every matrix are zero (Han et al. 2015).

    Args:
        share: of each matrix.
    """

    def __init__(self, share: Share):
        self.share = share

    def change(self, network: Any, model: LanguageModel) -> None:
        for weight in matrices(network):
            if count := int(self.share * weight.numel()):
                _zero_smallest(weight, count)


class Interpolate(Change):
    """w <- (1 - share) * w + share * w_start, for every parameter w.

    Args:
        share: 0 is the unlearned model, 1 the start.
    """

    def __init__(self, share: Share):
        self.share = share

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        """Of an adapter alone that part is taken; there is no copy of the weights."""
        weights = model.weights
        if isinstance(weights, AdapterLineage) and weights.is_product:
            with weights.times(1 - self.share):
                yield model
            return
        with super().on(model) as attacked:
            yield attacked

    def change(self, network: Any, model: LanguageModel) -> None:
        with readable(model, "start") as earlier:
            start = dict(earlier.named_parameters(remove_duplicate=False))
            for name, weight in network.named_parameters():
                weight.lerp_(start[name].to(weight.device, weight.dtype), self.share)


def _zero_smallest(weight: torch.Tensor, count: int) -> None:
    """Exactly `count` of the smallest, of equal ones the first.

    By a partition in place, for topk holds 16 bytes more a weight; then piece by piece.
    """
    ordered = weight.abs().flatten().float().cpu().numpy()
    ordered.partition(count - 1)
    last = float(ordered[count - 1])
    ties = count - int((ordered[:count] < last).sum())  # the partition has all that are smaller before it
    del ordered
    for piece in weight.view(-1).split(PIECE):
        sizes = piece.abs().float()
        equal = (sizes == last).nonzero()[:ties, 0]
        ties -= len(equal)
        piece.masked_fill_(sizes < last, 0)
        piece[equal] = 0


def matrices(network: Any) -> list[torch.Tensor]:
    """Weights with two dimensions or more, each once."""
    return [weight.data for weight in network.parameters() if weight.dim() > 1]
