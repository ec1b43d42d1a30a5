"""Annotators that cost a pass of their own: gradients, answers under another model, a classifier on responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from unlearnkit.errors import UserError
from unlearnkit.evaluations.annotators import Annotator, Measurement, Reference
from unlearnkit.notices import notice
from unlearnkit.records.forward import score
from unlearnkit.records.gradient import gradient_norms
from unlearnkit.records.record import Record


class Fluency(Protocol):
    """Says of texts with which probability they are fluent."""

    def score(self, texts: list[str]) -> list[float]: ...


@dataclass
class GradientNorm(Annotator):
    """The gradient's norm at the data's own answers; a forward and a backward pass each."""

    gives = ("gradient_norm",)
    forward = True

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        gradient_norms(measurement.model, [record for record in records if record.sample == 0])


@dataclass
class ForceReference(Reference):
    """The data's own answers under the reference model, teacher-forced."""

    gives = ("answer_reference_log_probs",)
    reads = ()

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        first = [record for record in records if record.sample == 0]
        template = (measurement.model if self.load is None else self.model()).template
        with self._network(measurement.model) as (network, tokenizer, _):
            pairs = [template.encode(tokenizer, record.prompt, record.answer) for record in first]
            scores = score(network, [(tuple(p), tuple(a)) for p, a in pairs], desc="Reference")
        for record, scored in zip(first, scores, strict=True):
            record.answer_reference_log_probs = scored.log_probs

    def content(self) -> Any:
        return ["answers", super().content()]


@dataclass
class Fluent(Annotator):
    """How fluent responses are to a classifier; where it cannot be had that is said, and nothing is written."""

    make: Any  # gives a Fluency, or raises what a user can mend
    noticed: bool = False

    gives = ("fluency",)
    reads = ("response",)

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        try:
            self._made: Fluency = getattr(self, "_made", None) or self.make()
        except UserError as error:
            if not self.noticed:
                notice(f"Fluency is left out: {error.what}")
            self.noticed = True
            return
        responses = [record for record in records if record.tokens]
        for record, value in zip(responses, self._made.score([record.response for record in responses]), strict=True):
            record.fluency = value
