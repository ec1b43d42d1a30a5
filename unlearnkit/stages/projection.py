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


class Projection:
    r"""GRU (Wang et al. 2025, arXiv:2503.09117): the step is along the forget gradient, made to agree with retention.

    .. math:: g = g_f - \frac{\min(0, \langle g_f, \bar g_r \rangle)}{\|\bar g_r\|^2}\, \bar g_r, \quad
        \bar g_r \leftarrow \nu\, g_r + (1 - \nu)\, \bar g_r

    The inner product is over all that is trained. A step takes one forward and two backward passes; the average is as
    large as what is trained, in fp32.
    """

    def __init__(self, project: Project, network: torch.nn.Module):
        self.project = project
        self.trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        self.average: dict[str, torch.Tensor] = {}
        self.cosine = 0.0  # of the last step's two gradients
        self._sums: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]] = ({}, {})  # forget's and retain's

    def backward(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        """Add a micro-batch to both gradients; returns what is descended on.

        Args:
            values: term -> its weighted value, all of one graph.
        """
        weights = list(self.trained.values())
        retained = [value for name, value in values.items() if name in self.project.keep]
        rest = [value for name, value in values.items() if name not in self.project.keep]
        losses = torch.stack(rest).sum(), torch.stack(retained).sum()
        for number, (loss, sums) in enumerate(zip(losses, self._sums, strict=True)):
            gradients = torch.autograd.grad(loss, weights, retain_graph=number == 0, allow_unused=True)
            for name, gradient in zip(self.trained, gradients, strict=True):
                if gradient is not None:
                    sums[name] = sums[name] + gradient if name in sums else gradient
        return losses[0].detach()

    @torch.no_grad()
    def finish(self, reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """End a step: the trained weights' `grad` is what it goes along.

        Args:
            reduce: a rank's share of a gradient -> the sum over all ranks.
        """
        forget, retain = ({name: reduce(self._of(sums, name)) for name in self.trained} for sums in self._sums)
        self._sums = ({}, {})
        for name, gradient in retain.items():
            before = self.average.get(name)
            new = gradient.float()
            self.average[name] = new if before is None else self.project.new * new + (1 - self.project.new) * before
        inner = self._product(forget, self.average)
        own, other = self._product(forget, forget), self._product(self.average, self.average)
        self.cosine = inner / max((own * other) ** 0.5, 1e-30)
        factor = min(0.0, inner) / other if other else 0.0
        for name, weight in self.trained.items():
            weight.grad = forget[name] - (factor * self.average[name]).to(weight.dtype)

    def _of(self, sums: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        """A gradient, of zeros where nothing depends on the weight."""
        return sums[name] if name in sums else torch.zeros_like(self.trained[name])

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
