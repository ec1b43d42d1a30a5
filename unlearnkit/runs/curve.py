"""Points of the curves over training steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unlearnkit.data.splits import splits_of
from unlearnkit.evaluations.base import Evaluations, Point, Records
from unlearnkit.models import LanguageModel
from unlearnkit.stages.base import Context, Stage, previewed


class Curve:
    """Measures a model while it is trained, on the split that settings are chosen on, and on others beside it.

    Args:
        stages: of the method; those that follow the one that trains are previewed.
        splits: of the data, as `curve_split` names them.
        write: (stage, step, numbers, split -> numbers of the others) -> takes a point.

    Attributes:
        context: of the training, set before it begins.
    """

    context: Context

    def __init__(
        self,
        evaluations: Evaluations,
        stages: Mapping[str, Stage],
        splits: str | Sequence[str],
        write: Callable[[str, int, dict[str, Any], dict[str, Any]], object],
    ):
        self.evaluations, self.stages, self.write = evaluations, stages, write
        self.split, *self.others = splits_of(splits)
        self.start: Records = {}
        self.starts: dict[str, Records] = {}  # of the other splits

    def begin(self, model: LanguageModel, known: Records | None = None) -> None:
        """The point at step 0, of the model as the stages find it; `known`: its records, where it was measured."""
        self.start |= known or self.evaluations.measure(model, Point(self.split, curve=True))
        self.starts = {name: self.evaluations.measure(model, Point(name, curve=True)) for name in self.others}
        beside = {name: self.evaluations.compute(records) for name, records in self.starts.items()}
        self.write(next(iter(self.stages)), 0, self.evaluations.compute(self.start), beside)

    def measure(self, trained: LanguageModel, step: int) -> None:
        """The point after `step` steps of the stage that is trained."""
        stage = self.context.stage
        with previewed(trained, list(self.stages.items()), self.context) as finished:
            phrase = f"at step {step} of the stage '{stage}'"
            numbers, *others = (
                self.evaluations.compute(self.evaluations.measure(finished, Point(split, phrase, curve=True), start))
                for split, start in ((self.split, self.start), *self.starts.items())
            )
        self.write(stage, step, numbers, dict(zip(self.starts, others, strict=True)))
