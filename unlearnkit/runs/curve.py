"""Points of the curves over training steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unlearnkit.evaluations.base import Evaluations, Point, Records
from unlearnkit.models import LanguageModel
from unlearnkit.stages.base import Context, Stage, previewed


class Curve:
    """Measures a model while it is trained, on the split that settings are chosen on.

    Args:
        stages: of the method; those that follow the one that trains are previewed.
        split: of the data.
        write: (stage, step, numbers) -> takes a point.

    Attributes:
        context: of the training, set before it begins.
    """

    context: Context

    def __init__(
        self,
        evaluations: Evaluations,
        stages: Mapping[str, Stage],
        split: str,
        write: Callable[[str, int, dict[str, Any]], None],
    ):
        self.evaluations, self.stages, self.split, self.write = evaluations, stages, split, write
        self.start: Records = {}

    def begin(self, model: LanguageModel, known: Records | None = None) -> None:
        """The point at step 0, of the model as the stages find it; `known`: its records, where it was measured."""
        self.start |= known or self.evaluations.measure(model, Point(self.split, curve=True))
        self.write(next(iter(self.stages)), 0, self.evaluations.compute(self.start))

    def measure(self, trained: LanguageModel, step: int) -> None:
        """The point after `step` steps of the stage that is trained."""
        stage = self.context.stage
        with previewed(trained, list(self.stages.items()), self.context) as finished:
            point = Point(self.split, f"at step {step} of the stage '{stage}'", curve=True)
            records = self.evaluations.measure(finished, point, self.start)
        self.write(stage, step, self.evaluations.compute(records))
