"""Rewriting value vectors in closed form: the weights' update, and how a weight is read and written."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel


def closed_form(
    keys: torch.Tensor, residuals: torch.Tensor, moment: torch.Tensor, weight: float, corpus: str = "the corpus"
) -> torch.Tensor:
    """R K^T (lambda C + K K^T)^-1, (d, d_k) in fp64: Meng et al. 2023 (MEMIT), eq. (14).

    It minimises lambda E|D k|^2 over the corpus plus |D K - R|^2.

    Args:
        keys: (d_k, n), a column a fact.
        residuals: (d, n): what each fact's output should gain.
        moment: (d_k, d_k), C = E k k^T.
        weight: lambda, in keys: how many of the corpus's keys the facts are weighed against.

    Raises:
        UserError: the matrix has no inverse.
    """
    keys, residuals = keys.double(), residuals.double()
    whole = weight * moment.to(keys) + keys @ keys.T
    factor, failed = torch.linalg.cholesky_ex(whole)
    if failed:
        raise UserError(
            f"lambda C + K K^T has no inverse (lambda {weight:g}): the keys of {corpus} leave directions out",
            "Raise stages.memit.text.tokens= or give more varied text with stages.memit.text.corpus=",
        )
    return residuals @ torch.cholesky_solve(keys, factor).T


def matrix_of(module: Any) -> nn.Parameter:
    """A linear layer's own weight, without its adapter's."""
    return getattr(module, "base_layer", module).weight


def key_width(module: Any) -> int:
    """How wide its inputs are."""
    return matrix_of(module).shape[0 if _transposed(module) else 1]


@torch.no_grad()
def add_to(model: LanguageModel, module: Any, update: torch.Tensor) -> float:
    """Add a (d, d_k) update to a linear layer's weight; returns |update| / |weight|."""
    parameter = matrix_of(module)
    change = update.T if _transposed(module) else update
    before = parameter.double()
    model.weights.edit(parameter, before + change)
    return float(torch.linalg.norm(change) / torch.linalg.norm(before))


def _transposed(module: Any) -> bool:
    """GPT-2's Conv1D keeps (in, out)."""
    return isinstance(getattr(module, "base_layer", module), Conv1D)
