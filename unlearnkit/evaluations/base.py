"""Evaluations of a run: each makes records of a model once, and computes every measure from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import Diverged, UserError
from unlearnkit.evaluations.measured import check_measured
from unlearnkit.measures.base import Measure
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import Display
from unlearnkit.models import LanguageModel
from unlearnkit.models.finite import NoNumbers, refuse_odd, watched
from unlearnkit.models.lineage import answering
from unlearnkit.records.generate import Drawn
from unlearnkit.records.record import Record

Numbers = dict[str, dict[str, dict[str, Any]]]  # set -> measure -> {value, low, high, n, seed}
Records = dict[str, list[Record]]  # evaluation -> its records


def every(row: Example) -> bool:
    """Any row is measured."""
    return True


@dataclass(frozen=True)
class Point:
    """How a model is measured.

    Args:
        split: of the data.
        moment: the moment of the run, for errors.
        curve: a point of a curve over training steps, which may be measured on less.
        question: what an attack makes of a prompt.
        asks: whether a row is measured; an attack leaves out what it has used itself.
        answers: what gives the responses on the forget side, where that is an attack's own.
        control: the model is one that others are compared with, and is itself compared with none.
        shared: whether other runs measure the same model so, and what it says is kept for them; None: at the start.
    """

    split: str
    moment: str = "before any stage"
    curve: bool = False
    question: Callable[[str], str] = str
    asks: Callable[[Example], bool] = every
    answers: Drawn | None = None
    control: bool = False
    shared: bool | None = None

    def cacheable(self, original: list[Record] | None) -> bool:
        """Whether records are kept; `original` as in `Part.measure`."""
        return original is None if self.shared is None else self.shared

    @property
    def asks_otherwise(self) -> bool:
        """The questions are an attack's, or how they are answered."""
        return self.question is not str or self.answers is not None

    def example(self, row: Example) -> Example:
        """The row as the model is asked it; plain text stays as it is."""
        return replace(row, prompt=self.question(row.prompt)) if row.prompt else row


class Part(ABC):
    """One of a run's evaluations."""

    name: str
    data: Data

    def bind(self, name: str, data: Data) -> None:
        """Learn its key under `eval` and the data, and refuse what these do not allow, before anything is computed."""
        self.name, self.data = name, data

    def add(self, measures: Callable[[Part], Mapping[str, Measure]]) -> None:  # noqa: B027  of records alone
        """Take an attack's measures on the forget side."""

    def forgotten(self) -> list[Example]:
        """The rows of the forget side that the model is asked at a test."""
        return []

    @abstractmethod
    def measure(self, model: LanguageModel, point: Point, original: list[Record] | None) -> list[Record]:
        """Records of `model`.

        Args:
            original: the records of the model that the stages started from; None if `model` is that model.
        """

    def resume(self, model: LanguageModel, point: Point) -> None:  # noqa: B027  of records alone
        """Take from the original what later models are compared with and its records, which are there, do not hold."""

    @abstractmethod
    def compute(
        self, records: list[Record], seed: int = 0, controls: Mapping[str, list[Record]] | None = None
    ) -> Numbers:
        """A pure function of the records.

        Args:
            controls: the records of other moments, by their names.
        """

    def columns(self) -> dict[str, dict[str, Display]]:
        """Set -> measure -> how its number is shown, as far as it is known."""
        return {}

    def on_curves(self, split: str) -> dict[str, dict[str, Display]] | None:
        """The same of what is measured of a split during training; None: only the model shows it."""
        return None

    def against(self) -> dict[str, list[str]]:
        """Control -> the measures that are taken against it."""
        return {}


def not_a_number(record: Record) -> bool:
    """Whether something that measures read of a record is NaN, or infinite where that says nothing."""
    rows = [
        record.answer_log_probs,
        record.reference_log_probs,
        *sum((record.alternative_log_probs or {}).values(), []),
    ]
    numbers = [*(number for row in rows for number in row), *(record.scores or {}).values(), record.similarity]
    numbers += [record.gradient_norm, record.fluency, *record.answer_reference_log_probs]
    error = record.unlearned_error
    odd = any(number is not None and math.isnan(number) for number in numbers)
    return odd or (error is not None and not math.isfinite(error))


class Evaluations:
    """All evaluations of a run, by name; each is asked in turn."""

    def __init__(self, parts: dict[str, Part], data: Data, seed: int):
        self.parts, self.data, self.seed = parts, data, seed
        for name, part in parts.items():
            part.bind(name, data)

    def measure(self, model: LanguageModel, point: Point, original: Records | None = None) -> Records:
        """evaluation -> records of `model`; `original` are those of the model that the stages started from.

        Raises:
            UserError: the model's logits are no numbers, or a measurement (but a curve's) measured nothing.
        """
        records = {}
        for name, part in self.parts.items():
            try:
                with answering(model.model), watched(model.model):
                    records[name] = part.measure(model, point, original[name] if original else None)
                    refuse_odd(any(not_a_number(record) for record in records[name]))
            except NoNumbers:
                raise Diverged(
                    f"The logits of '{model.name}' are no numbers (NaN or infinite) in eval.{name}, {point.moment}",
                    "The model has diverged: lower train.arguments.learning_rate or take fewer steps; before any stage,"
                    " check the weights and model.dtype",
                ) from None
            if not point.curve and not (point.asks_otherwise and not records[name]):
                check_measured(name, point.split, records[name])
        return records

    def resume(self, model: LanguageModel, point: Point) -> None:
        """Instead of measuring the original again, where a run that was cut off has its records."""
        for part in self.parts.values():
            with answering(model.model):
                part.resume(model, point)

    def compute(self, records: Records, controls: Mapping[str, Records] | None = None) -> dict[str, Numbers]:
        """evaluation -> set -> measure -> {value, low, high, n, seed}."""
        numbers = {
            name: self.parts[name].compute(rows, self.seed, {m: r.get(name, []) for m, r in (controls or {}).items()})
            for name, rows in records.items()
        }
        for name, sets in numbers.items():
            for set_name, own_numbers in sets.items():
                for measure, number in own_numbers.items():
                    if not math.isfinite(number["value"]):
                        raise UserError(
                            f"{measure} on the set '{set_name}' of eval.{name} is {number['value']}, no number",
                            f"Mend the measure, or take it out of eval.{name}.sets.{set_name}",
                        )
        return numbers

    def against(self, control: str) -> dict[str, list[str]]:
        """evaluation -> its measures that are taken against a control, of those that have some."""
        measures = {name: part.against().get(control, []) for name, part in self.parts.items()}
        return {name: names for name, names in measures.items() if names}

    def on_curves(self, split: str) -> list[Column] | None:
        """What curves on a split measure; None where an evaluation cannot say it beforehand."""
        parts = {name: part.on_curves(split) for name, part in self.parts.items()}
        if any(sets is None for sets in parts.values()):
            return None
        return [
            Column((name, set_name, measure), display)
            for name, sets in parts.items()
            for set_name, displays in (sets or {}).items()
            for measure, display in displays.items()
        ]

    def columns(self) -> dict[str, Display]:
        """`evaluation/set/measure` -> how it is shown."""
        return {
            f"{name}/{set_name}/{measure}": display
            for name, part in self.parts.items()
            for set_name, displays in part.columns().items()
            for measure, display in displays.items()
        }
