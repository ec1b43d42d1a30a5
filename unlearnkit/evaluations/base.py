"""Evaluations of a run: each makes records of a model once, and computes every metric from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError, nearest
from unlearnkit.evaluations.measured import check_measured
from unlearnkit.metrics.interval import Estimate
from unlearnkit.models import LanguageModel
from unlearnkit.models.finite import NoNumbers, refuse_odd, watched
from unlearnkit.models.lineage import answering
from unlearnkit.records.record import Record

Metric = Callable[..., Estimate]
Numbers = dict[str, dict[str, dict[str, Any]]]  # set -> metric -> {value, low, high, n, seed}


class Evaluation(ABC):
    """Metrics by set.

    Args:
        name: its key under `eval`, for errors.
        sets: set -> names of the metrics measured on it.
        metrics: name -> function of records.

    Raises:
        UserError: a set names a metric that there is not.
    """

    def __init__(self, name: str, sets: dict[str, list[str]], metrics: dict[str, Metric]):
        for set_name, wanted in sets.items():
            for metric in wanted:
                if metric not in metrics:
                    raise UserError(
                        f"Unknown metric '{metric}' for the set '{set_name}'.{nearest(metric, metrics)}"
                        f" Valid: {', '.join(metrics)}",
                        f"Set eval.{name}.sets.{set_name} to some of these",
                    )
        self.name, self.sets, self.metrics = name, sets, metrics

    def members(self, name: str) -> list[str]:
        """The `Record.set`s that a set's metrics are computed on."""
        return [name]

    def source(self, name: str) -> str:
        """The data's set that the records of a `Record.set` are made of."""
        return name

    def check(self, data: Data) -> None:
        """Refuse sets that the data does not have, before anything is computed."""
        for name in self.sets:
            for member in self.members(name):
                if self.source(member) not in data.sets:
                    raise UserError(
                        f"Unknown evaluation set '{member}'.{nearest(member, data.sets)} The data '{data.name}' has:"
                        f" {', '.join(data.sets)}",
                        f"Remove it with '~eval.{self.name}.sets.{name}', or choose an evaluation for this data with"
                        " eval=",
                    )

    @abstractmethod
    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None, curve: bool
    ) -> list[Record]:
        """Records of `model` on a split.

        Args:
            original: the records of the model that the run started from; None if `model` is that model.
            curve: this is a point of a curve over training steps, which may be measured on less.
        """

    def compute(self, records: list[Record], seed: int = 0) -> Numbers:
        """A pure function of the records; a metric that has none to speak of is left out."""
        numbers: Numbers = {}
        for name, wanted in self.sets.items():
            rows = [record for record in records if record.set in self.members(name)]
            found = {metric: self.metrics[metric](rows, seed=seed) for metric in wanted}
            if kept := {metric: asdict(estimate) for metric, estimate in found.items() if estimate.n}:
                numbers[name] = kept
        return numbers


def not_a_number(record: Record) -> bool:
    """Whether something that metrics read of a record is NaN, or infinite where that says nothing."""
    numbers = [*record.answer_log_probs, *record.reference_log_probs, *(record.scores or {}).values()]
    error = record.unlearned_error
    odd = any(number is not None and math.isnan(number) for number in [*numbers, record.similarity])
    return odd or (error is not None and not math.isfinite(error))


class Evaluations:
    """All evaluations of a run, by name; each is asked in turn."""

    def __init__(self, parts: dict[str, Evaluation], data: Data, seed: int):
        self.parts, self.data, self.seed = parts, data, seed
        for part in parts.values():
            part.check(data)

    def measure(
        self,
        model: LanguageModel,
        split: str,
        original: dict[str, list[Record]] | None = None,
        curve: bool = False,
        moment: str = "before any stage",
    ) -> dict[str, list[Record]]:
        """evaluation -> records of `model` on a split; `original` are those of the model the run started from.

        Args:
            moment: of the run, for errors.

        Raises:
            UserError: the model's logits are no numbers, or a measurement (but a curve's) measured nothing.
        """
        found = {}
        for name, part in self.parts.items():
            try:
                with answering(model.model), watched(model.model):
                    found[name] = part.measure(model, self.data, split, original[name] if original else None, curve)
                    refuse_odd(any(not_a_number(record) for record in found[name]))
            except NoNumbers:
                raise UserError(
                    f"The logits of '{model.name}' are no numbers (NaN or infinite) in eval.{name}, {moment}",
                    "The model has diverged: lower train.arguments.learning_rate or take fewer steps; before any stage,"
                    " check the weights and model.dtype",
                ) from None
            if not curve:
                check_measured(name, split, found[name])
        return found

    def compute(self, records: dict[str, list[Record]]) -> dict[str, Numbers]:
        """evaluation -> set -> metric -> {value, low, high, n, seed}."""
        found = {name: self.parts[name].compute(rows, self.seed) for name, rows in records.items()}
        for name, sets in found.items():
            for set_name, metrics in sets.items():
                for metric, number in metrics.items():
                    if not math.isfinite(number["value"]):
                        raise UserError(
                            f"{metric} on the set '{set_name}' of eval.{name} is {number['value']}, which is no number",
                            f"Mend the metric, or take it out of eval.{name}.sets.{set_name}",
                        )
        return found
