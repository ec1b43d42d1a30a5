"""Which tensors to unlearn in: pure functions of each tensor's two gradients."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from statistics import median

import numpy as np
import torch

from unlearnkit.errors import UserError


@dataclass(frozen=True)
class Tensor:
    """A trainable tensor: cosine of its unlearn and retention gradients, mean |unlearn gradient|, its parameters."""

    name: str
    cosine: float
    gradient: float
    size: int


def compare(name: str, unlearn: torch.Tensor, retention: torch.Tensor) -> Tensor:
    """Direction and magnitude (Tian et al. 2024, eq. 8 and below); a tensor without a gradient counts as aligned.

    The paper's formula for the magnitude averages |G_RT| under the name of G_UL; eq. (9) and the code mean G_UL.
    """
    norms = float(unlearn.norm()) * float(retention.norm())
    cosine = float((unlearn * retention).sum()) / norms if norms > 0 else 1.0
    return Tensor(name, cosine, float(unlearn.abs().mean()), unlearn.numel())


def thresholds(tensors: list[Tensor], max_cosine: float | None, min_gradient: float | None) -> tuple[float, float]:
    """mu and sigma; None stands for the median over the tensors, which fits a model that no table lists."""
    return (
        median(tensor.cosine for tensor in tensors) if max_cosine is None else max_cosine,
        median(tensor.gradient for tensor in tensors) if min_gradient is None else min_gradient,
    )


def located(tensors: list[Tensor], max_cosine: float, min_gradient: float) -> list[Tensor]:
    """The tensors with cosine < mu and mean |gradient| > sigma (eq. 9).

    Raises:
        UserError: there is none; with the nearest values that would select one.
    """
    chosen = [tensor for tensor in tensors if tensor.cosine < max_cosine and tensor.gradient > min_gradient]
    if chosen:
        return chosen
    strong = [tensor.cosine for tensor in tensors if tensor.gradient > min_gradient]
    apart = [tensor.gradient for tensor in tensors if tensor.cosine < max_cosine]
    fixes = []
    if strong:
        fixes.append(f"max_cosine={_above(min(strong))} (with this min_gradient)")
    if apart:
        fixes.append(f"min_gradient={_below(max(apart))} (with this max_cosine)")
    if not fixes:
        best = max(tensors, key=lambda tensor: tensor.gradient)
        fixes.append(f"max_cosine={_above(best.cosine)} with min_gradient={_below(best.gradient)}")
    cosines, gradients = [tensor.cosine for tensor in tensors], [tensor.gradient for tensor in tensors]
    raise UserError(
        f"max_cosine={max_cosine:g} and min_gradient={min_gradient:g} select none of {len(tensors)} tensors: their"
        f" cosines are {min(cosines):.3g} to {max(cosines):.3g}, their gradients {min(gradients):.3g} to"
        f" {max(gradients):.3g}",
        f"The nearest that select one, of stages.locate: {' or '.join(fixes)}; null takes the median",
    )


def _above(value: float) -> str:
    """The number rounded up to four significant digits, so that `value <` it holds."""
    return _four_digits(value, 1)


def _below(value: float) -> str:
    """The number rounded down to four significant digits, so that `value >` it holds."""
    return _four_digits(value, -1)


def _four_digits(value: float, sign: int) -> str:
    near = Decimal(f"{value:.4g}")
    if (float(near) - value) * sign <= 0:
        near += sign * Decimal(1).scaleb(near.adjusted() - 3)
    return f"{float(near):.4g}"


def random_region(tensors: list[Tensor], budget: int, seed: int) -> list[Tensor]:
    """Tensors in a random order, as long as they fit into `budget` parameters: a control at equal budget."""
    order = np.random.default_rng(seed).permutation(len(tensors))
    return fill([tensors[index] for index in order], budget)


def inverted_region(tensors: list[Tensor], chosen: list[Tensor]) -> list[Tensor]:
    """Of the tensors that were not located, those most aligned with retention, at the located ones' budget."""
    names = {tensor.name for tensor in chosen}
    others = sorted((tensor for tensor in tensors if tensor.name not in names), key=lambda tensor: -tensor.cosine)
    return fill(others, sum(tensor.size for tensor in chosen))


def fill(tensors: list[Tensor], budget: int) -> list[Tensor]:
    """Tensors in the order given, skipping those that no longer fit into `budget` parameters."""
    chosen, used = [], 0
    for tensor in tensors:
        if used + tensor.size <= budget:
            chosen.append(tensor)
            used += tensor.size
    return chosen
