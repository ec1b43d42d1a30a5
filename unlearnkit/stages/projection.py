"""Unlearning along what does not undo retention: the forget gradient without its part against the retain gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from safetensors.torch import load_file, save_file

from unlearnkit.errors import UserError, nearest
from unlearnkit.losses.base import Loss
from unlearnkit.settings.bounds import Bound

AVERAGE = "retain_gradient.safetensors"  # in a checkpoint


@dataclass(frozen=True)
class Project:
    """What a training projects (`stages.STAGE.project`).

    Args:
        keep: the terms whose gradient must not be undone; they are not descended on themselves.
        new: share of a step's own gradient in their running average.
    """

    keep: list[str]
    new: Annotated[float, Bound(0, 1, above=True)] = 0.8

    def check(self, key: str, terms: dict[str, Loss]) -> None:
        """Raises:
        UserError: a term that there is not, or no other term.
        """
        for name in self.keep:
            if name not in terms:
                raise UserError(
                    f"{key}.keep names '{name}', which is no term.{nearest(name, terms)} Terms: {', '.join(terms)}",
                    f"Set {key}.keep= to the terms that should stay, such as [retain]",
                )
        if not self.keep or not set(terms) - set(self.keep):
            raise UserError(
                f"{key}.keep={list(self.keep)} leaves nothing to project: terms are {', '.join(terms)}",
                f"Name in {key}.keep= the terms that should stay, and leave at least one other",
            )

    def sides(self, terms: dict[str, Loss]) -> list[dict[str, Loss]]:
        """The terms that are kept, and the others."""
        return [{name: term for name, term in terms.items() if (name in self.keep) == kept} for kept in (True, False)]


class Projection:
    r"""GRU (Wang et al. 2025, arXiv:2503.09117): the step is along the forget gradient, made to agree with retention.

    .. math:: g = g_f - \frac{\min(0, \langle g_f, \bar g_r \rangle)}{\|\bar g_r\|^2}\, \bar g_r, \quad
        \bar g_r \leftarrow \nu\, g_r + (1 - \nu)\, \bar g_r

    The inner product is over all that is trained. A step takes a forward and a backward pass of each side, retention's
    first; its gradient and the average, in fp32, are each as large as what is trained.
    """

    def __init__(self, project: Project, terms: dict[str, Loss], network: torch.nn.Module):
        self.new, self.sides = project.new, project.sides(terms)
        self.trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        self.average: dict[str, torch.Tensor] = {}
        self.cosine = 0.0  # of the last step's two gradients
        self._sums: list[dict[str, torch.Tensor]] = [{}, {}]  # of each side's gradient over micro-batches

    def backward(self, loss_of: Callable[[dict[str, Loss]], torch.Tensor]) -> torch.Tensor:
        """Add a micro-batch to both gradients; returns what is descended on.

        Args:
            loss_of: terms -> their weighted sum, by a forward pass of their own; each graph is gone before the next.
        """
        losses = [self._add(loss_of(terms), sums) for terms, sums in zip(self.sides, self._sums, strict=True)]
        return losses[-1]

    def _add(self, loss: torch.Tensor, sums: dict[str, torch.Tensor]) -> torch.Tensor:
        for name, weight in self.trained.items():
            weight.grad = sums.get(name)
        if loss.requires_grad:  # not of a micro-batch without a row of this side
            loss.backward()
        for name, weight in self.trained.items():
            if weight.grad is not None:
                sums[name], weight.grad = weight.grad, None
        return loss.detach()

    @torch.no_grad()
    def finish(self, reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """End a step: the trained weights' `grad` is what it goes along.

        Args:
            reduce: a rank's share of a gradient -> the sum over all ranks.
        """
        forget: dict[str, torch.Tensor] = {}
        for name, weight in self.trained.items():  # one at a time: no gradient is held twice
            retained, forget[name] = (reduce(self._taken(sums, name)) for sums in self._sums)
            if name in self.average:
                self.average[name].mul_(1 - self.new).add_(retained, alpha=self.new)
            else:
                self.average[name] = retained.float()
            weight.grad = forget[name]
        inner = self._product(forget, self.average)
        own, other = self._product(forget, forget), self._product(self.average, self.average)
        self.cosine = inner / max((own * other) ** 0.5, 1e-30)
        if inner < 0 < other:
            for name, gradient in forget.items():
                gradient -= (inner / other * self.average[name]).to(gradient.dtype)

    def _taken(self, sums: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        """A gradient, of zeros where nothing depends on the weight."""
        return sums.pop(name) if name in sums else torch.zeros_like(self.trained[name])

    @staticmethod
    def _product(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        return sum(float(torch.sum(value.float() * other[name].float())) for name, value in one.items())

    def save(self, folder: Path) -> None:
        """The average, into a checkpoint."""
        save_file({name: value.cpu().contiguous() for name, value in self.average.items()}, folder / AVERAGE)

    def load(self, folder: Path) -> None:
        """The inverse of `save`."""
        saved = load_file(folder / AVERAGE)
        self.average = {name: saved[name].to(weight.device) for name, weight in self.trained.items()}
