"""One evaluation of a model: records of its sets, filled by annotators, read by measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from unlearnkit import ranks
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.roles import Role
from unlearnkit.data.spread import evenly_spaced, spread
from unlearnkit.evaluations.annotators import (
    Annotator,
    Compared,
    Force,
    Generate,
    Guard,
    Judged,
    Measurement,
    Originals,
    Reference,
    Similarity,
)
from unlearnkit.evaluations.base import Numbers, Part, Point, every
from unlearnkit.evaluations.extra_passes import Fluency, Fluent, ForceReference, GradientNorm
from unlearnkit.evaluations.scope_classifier import ScopeClassifier
from unlearnkit.evaluations.sets import check_known, check_measures, find_sets, members
from unlearnkit.judges.base import Judge
from unlearnkit.measures.aggregates import OfNumbers
from unlearnkit.measures.base import Measure
from unlearnkit.measures.combined import OfMeasures
from unlearnkit.measures.display import Display
from unlearnkit.measures.interval import Estimate
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.decoding import GREEDY, Decoding
from unlearnkit.records.generate import records_of
from unlearnkit.records.lengths import check_lengths
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive

CHOICES: dict[str, Callable[[Sequence[Any], int | None], list[Any]]] = {"categories": spread, "evenly": evenly_spaced}


class Evaluation(Part):
    """Measures by set.

    Args:
        measures: by name.
        sets: which measures are taken on what: a set of the data, a role or a paper's name for one, which stands for
            all of the data's sets on that side that are not named themselves, or a name of one's own for measures of
            measures.
        judge, similarity, classifier: what fills the fields of records that measures read.
        fluency: makes the classifier that fluency is measured by; where it cannot be had the measure is left out.
        reference: loads the model that perplexity is measured under; None for the run's own as it was loaded.
        max_new_tokens: of a response.
        decoding: of a response.
        limit: prompts a set in the final measurement (all if None).
        spread: these prompts: over their "categories", or "evenly" spaced.
        generate_limit: of these, how many are answered, evenly spaced.
        curve_limit: prompts a set in the measurements during training.
        curve_measures: the measures that are taken there; all if None, none if empty.
    """

    def __init__(
        self,
        measures: dict[str, Measure],
        sets: dict[str, list[str]],
        judge: Judge | None = None,
        similarity: Similarity | None = None,
        classifier: ScopeClassifier | None = None,
        reference: Callable[[], LanguageModel] | None = None,
        fluency: Callable[[], Fluency] | None = None,
        max_new_tokens: Positive = 40,
        batch_size: Positive = 64,
        decoding: Decoding = GREEDY,
        limit: Positive | None = None,
        spread: Literal["categories", "evenly"] = "categories",
        generate_limit: Positive | None = None,
        curve_limit: Positive | None = None,
        curve_measures: list[str] | None = None,
    ):
        self.measures, self.set_specs, self.decoding = measures, sets, decoding
        self.max_new_tokens, self.limit, self.curve_limit, self.curve_measures = (
            max_new_tokens,
            limit,
            curve_limit,
            curve_measures,
        )
        self.choose = CHOICES[spread]
        self.annotators: list[Annotator] = [  # in the order in which they may read what others gave
            Force(),
            GradientNorm(),
            ForceReference(reference),
            Generate(max_new_tokens, batch_size, decoding, generate_limit),
            Reference(reference),
            *([Fluent(fluency)] if fluency is not None else []),
            *([Judged(judge)] if judge is not None else []),
            Originals(),
            *([Compared(similarity)] if similarity is not None else []),
            *([Guard(classifier)] if classifier is not None else []),
        ]

    def bind(self, name: str, data: Data) -> None:
        """Find the data's sets, and who fills the fields that are read.

        Raises:
            UserError: an unknown set, measure or field, before anything is computed.
        """
        self.name, self.data = name, data
        filled = [field for annotator in self.annotators for field in annotator.gives]
        self.added: set[str] = set()
        self.sets = find_sets(name, data, self.set_specs, self.measures)
        check_measures(name, data, self.sets, self.measures, filled)
        fix = f"Set eval.{name}.curve_measures= to some of these"
        check_known(self.curve_measures or (), self.measures, "in curve_measures", fix)
        fields = self.read(Point("test"))
        for annotator in (a for a in self.annotators if self._filled(a, fields)):
            annotator.check(data)

    def read(self, point: Point) -> dict[str, set[str]]:
        """Set of the data -> the fields that measures read of its records, and those that these are made from."""
        fields: dict[str, set[str]] = {name: set() for name in self.sets if name in self.data.sets}
        for name, listed in self.sets.items():
            for measure in (self.measures[m] for m in listed if self._includes(m, point)):
                if isinstance(measure, OfMeasures):
                    for side, parts in measure.of.items():
                        for member in members(side, self.data):
                            fields.setdefault(member, set()).update(f for p in parts for f in self.measures[p].reads)
                elif not isinstance(measure, OfNumbers):
                    fields[name].update(measure.reads)
        for own in fields.values():
            for annotator in reversed(self.annotators):
                if own.intersection(annotator.gives):
                    own.update(annotator.reads)
        return {name: own for name, own in fields.items() if own}

    def _includes(self, measure: str, point: Point) -> bool:
        listed = self.curve_measures is None or measure in self.curve_measures
        return not point.curve or (listed and measure not in self.added)

    def add(self, measures: Callable[[Part], Mapping[str, Measure]]) -> None:
        """Take them on every set of the forget side that has questions; a measure of one's own keeps its name."""
        new = {name: measure for name, measure in measures(self).items() if name not in self.measures}
        self.measures, self.added = {**self.measures, **new}, {*self.added, *new}
        for name in self._forgotten():
            self.sets[name] = [*self.sets[name], *new]

    def forgotten(self) -> list[Example]:
        return [row for name in self._forgotten() for row in self.choose(self.data.sets[name]["test"], self.limit)]

    def _forgotten(self) -> list[str]:
        own = (name for name in self.sets if name in self.data.sets and self._role(name) == "forget")
        return [name for name in own if any(row.prompt for row in self.data.sets[name]["test"])]

    def measure(self, model: LanguageModel, point: Point, original: list[Record] | None) -> list[Record]:
        fields = self.read(point)
        limit = self.curve_limit if point.curve else self.limit
        examples: dict[str, list[Example]] = {
            name: [
                point.example(row) for row in self.choose(self.data.sets[name][point.split], limit) if point.asks(row)
            ]
            for name in fields
        }
        answered = [name for name, own in fields.items() if "response" in own]
        passes = {*Force.gives, *GradientNorm.gives, *ForceReference.gives}  # over the data's own answers
        forced = [name for name, own in fields.items() if own & passes]
        compared = [name for name, own in fields.items() if "alternative_log_probs" in own]
        check_lengths(model, examples, self.max_new_tokens, answered, forced, compared)
        deviations = [name for name, own in fields.items() if "answer_deviations" in own]
        samples = {
            name: point.answers.decoding.samples
            if point.answers and self._role(name) == "forget"
            else self.decoding.samples
            for name in answered
        }
        forward = [a for a in self.annotators if a.forward and self._filled(a, fields)]

        def make() -> list[Record]:
            records = records_of(examples, samples)
            for annotator in forward:
                annotator(
                    [r for r in records if r.set in self._filled(annotator, fields)],
                    Measurement(model, self.data, point.split, fields, answers=point.answers),
                )
            return records

        drawn = point.answers and point.answers.content()
        repeats = drawn or point.answers is None  # answers from elsewhere are kept there
        if forward and repeats and point.cacheable(original):  # every run of a sweep measures what the stages find
            content = {
                "model": fingerprint(model),
                "annotators": [[type(a).__name__, a.content(), self._filled(a, fields)] for a in forward],
                "compared": compared,
                **({"deviations": deviations} if deviations else {}),
                "examples": {name: [asdict(example) for example in rows] for name, rows in examples.items()},
            }
            if drawn:
                content["answers"] = drawn
            if texts := [name for name, own in fields.items() if "forced" in own]:  # earlier versions kept no such text
                content["forced"] = texts
            records = cached(content, make)
        else:
            records = make()
        if original is not None and point.asks is not every:
            keys = {(record.set, record.id, record.sample) for record in records}
            original = [record for record in original if (record.set, record.id, record.sample) in keys]
        if original is not None and point.answers is not None:
            first = {(record.set, record.id): record for record in reversed(original)}
            original = [first[record.set, record.id] for record in records]
        return ranks.from_first(lambda: self._annotated(records, original, model, fields, point))

    def _annotated(
        self,
        records: list[Record],
        original: list[Record] | None,
        model: LanguageModel,
        fields: Mapping[str, set[str]],
        point: Point,
    ) -> list[Record]:
        """What needs no forward pass of the model."""
        for annotator in (a for a in self.annotators if not a.forward and not (point.control and a.compares)):
            filled = self._filled(annotator, fields)
            own = [record for record in records if record.set in filled]
            if own:
                old = [record for record in original or records if record.set in filled]
                annotator(own, Measurement(model, self.data, point.split, fields, old))
        return records

    def _filled(self, annotator: Annotator, fields: Mapping[str, set[str]]) -> list[str]:
        """The sets whose records an annotator fills."""
        return [name for name, own in fields.items() if own.intersection(annotator.gives)]

    def compute(
        self, records: list[Record], seed: int = 0, controls: Mapping[str, list[Record]] | None = None
    ) -> Numbers:
        """A pure function of the records; a measure that has none to speak of is left out."""
        numbers: Numbers = {}
        for name, listed in self.sets.items():
            records_of = [measure for measure in listed if not isinstance(self.measures[measure], OfNumbers)]
            estimates = {
                measure: self._estimate(measure, name, records, seed, controls or {}) for measure in records_of
            }
            estimates |= {
                measure: self._of_numbers(measure, estimates, seed) for measure in listed if measure not in estimates
            }
            if numeric := {measure: asdict(estimate) for measure, estimate in estimates.items() if estimate.n}:
                numbers[name] = numeric
        return numbers

    def _estimate(
        self, name: str, set_name: str, records: list[Record], seed: int, controls: Mapping[str, list[Record]]
    ) -> Estimate:
        measure = self.measures[name]
        if isinstance(measure, OfMeasures):
            control = controls.get(measure.against, records if measure.against == "start" else [])
            own, other = (
                [self._values(part, side, rows) for side, parts in measure.of.items() for part in parts]
                for rows in (records, control)
            )
            return measure.of_groups(own, seed, other)
        return measure([r for r in records if r.set == set_name], self.data.role(set_name), seed)

    def _of_numbers(self, name: str, estimates: Mapping[str, Estimate], seed: int) -> Estimate:
        measure = self.measures[name]
        assert isinstance(measure, OfNumbers)
        return measure.of_numbers([estimates.get(part) for part in measure.of], seed)

    def _values(self, part: str, side: str, records: Sequence[Record]) -> list[float]:
        return [
            value
            for member in members(side, self.data)
            for value in self.measures[part].values([r for r in records if r.set == member], self.data.role(member))
        ]

    def columns(self) -> dict[str, dict[str, Display]]:
        """How each number of `compute` is shown."""
        return {
            name: {measure: self.measures[measure].display(self._role(name)) for measure in listed}
            for name, listed in self.sets.items()
        }

    def on_curves(self, split: str) -> dict[str, dict[str, Display]]:
        point = Point(split, curve=True)
        there = {name for name, splits in self.data.sets.items() if splits.get(split)}
        return {
            name: {measure: shown for measure, shown in displays.items() if self._includes(measure, point)}
            for name, displays in self.columns().items()
            if name in there or name not in self.data.sets
        }

    def against(self) -> dict[str, list[str]]:
        measures: dict[str, list[str]] = {}
        for name in dict.fromkeys(name for listed in self.sets.values() for name in listed):
            measure = self.measures[name]
            if isinstance(measure, OfMeasures) and measure.against:
                measures.setdefault(measure.against, []).append(name)
        return measures

    def _role(self, set_name: str) -> Role | None:
        return self.data.role(set_name) if set_name in self.data.sets else None
