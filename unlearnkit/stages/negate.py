"""Task-vector negation: theta_u = theta_o - scale * (theta_bad - theta_o), without a second model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.models.quantised import exact
from unlearnkit.stages.base import Context, Stage


class Negate(Stage):
    """Negate what the stages before it have learnt (Liu et al. 2024, eqs. (7) and (8); Ilharco et al. 2022).

    theta_o is the model as the run's stages found it. Where all that was learnt is a LoRA adapter, B <- -scale * B
    does it; full weights are streamed from the disk, one tensor in memory at a time. With scale 1 this is
    2 * theta_o - theta_bad.
    """

    needs_start = True

    def __init__(self, scale: float = 1.0):
        self.scale = float(scale)

    def beside(self, label: str, taught: bool) -> UserError | None:
        return exact(label, "negated with an adapter that was taught") if taught else None

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        model.weights.negate(self.scale, start_in(context.folder))
        return model

    @contextlib.contextmanager
    def preview(self, model: LanguageModel, context: Context) -> Iterator[LanguageModel]:
        with model.weights.negated(self.scale, start_in(context.folder)) as weights:
            yield replace(model, weights=weights)


def start_in(folder: Path) -> Path:
    """Where a run keeps the weights that its stages found, until it ends."""
    return folder / "base.partial"
