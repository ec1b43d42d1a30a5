"""What fills the fields of records; each runs because a measure reads one of its fields, and no other does."""

from __future__ import annotations

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from unlearnkit.data.examples import Data
from unlearnkit.data.spread import evenly_spaced
from unlearnkit.errors import UserError
from unlearnkit.evaluations.scope_classifier import LABELS, ScopeClassifier, training
from unlearnkit.judges.base import Judge, write_verdicts
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.decoding import GREEDY, Decoding
from unlearnkit.records.forward import force_answers, free_text, score
from unlearnkit.records.generate import Drawn
from unlearnkit.records.record import Record


class Similarity(Protocol):
    """Scores how alike two texts are."""

    def score(self, references: list[str], candidates: list[str]) -> list[float]: ...


@dataclass
class Measurement:
    """What an annotator is given beside the records to fill.

    Args:
        split: of the data, for what is shown.
        fields: set -> the fields that measures read of its records.
        originals: of each record, the record that the start model has of the same example; itself at the start.
        answers: what gives the responses on the forget side, in place of the evaluation's own decoding.
    """

    model: LanguageModel
    data: Data
    split: str
    fields: Mapping[str, set[str]]
    originals: list[Record] = field(default_factory=list)
    answers: Drawn | None = None


class Annotator(ABC):
    """Fills some fields of records.

    Attributes:
        gives: these fields.
        reads: fields that must be there before.
        forward: it asks a model that every run of a sweep starts from, so that what it says is kept in the cache.
        compares: with the start model's records.
    """

    gives: ClassVar[tuple[str, ...]]
    reads: ClassVar[tuple[str, ...]] = ()
    forward: ClassVar[bool] = False
    compares: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, records: list[Record], measurement: Measurement) -> None: ...

    def check(self, data: Data) -> None:  # noqa: B027  most need nothing more than the records
        """Refuse data that it cannot work with, before anything is computed."""

    def content(self) -> Any:
        """All that decides what a `forward` annotator writes, beside the model and the records."""
        return self


@dataclass
class Force(Annotator):
    """The data's own answers, teacher-forced; where a measure reads it, the alternatives to them behind one prompt."""

    gives = ("answer_log_probs", "answer_hits", "answer_deviations", "forced", "alternative_log_probs")
    forward = True

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        first = [record for record in records if record.sample == 0]  # the same beside every sample
        reads = {
            name: ("alternative_log_probs" in own, "answer_deviations" in own)
            for name, own in measurement.fields.items()
        }
        for compared, deviations in itertools.product((True, False), repeat=2):
            own = [record for record in first if reads[record.set] == (compared, deviations)]
            if compared and (lacking := next((record for record in own if not record.alternatives), None)):
                raise UserError(
                    f"The example '{lacking.id}' of the set '{lacking.set}' has no alternatives to its answer, which a"
                    " measure compares it with",
                    "Give it some, or take the measure off this set",
                )
            if own:
                texts = any("forced" in measurement.fields[record.set] for record in own)
                force_answers(measurement.model, own, compared, deviations, texts)


@dataclass
class Generate(Annotator):
    """Responses.

    Args:
        max_new_tokens: of a response.
        limit: prompts a set that are answered, evenly spaced; all if None.
    """

    max_new_tokens: int
    batch_size: int
    decoding: Decoding = GREEDY
    limit: int | None = None

    gives = ("response", "tokens", "ended")
    forward = True

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        if self.limit is not None:
            firsts = [record for record in records if record.sample == 0]
            sets = dict.fromkeys(record.set for record in firsts)
            subset = [r for name in sets for r in evenly_spaced([r for r in firsts if r.set == name], self.limit)]
            chosen = {(record.set, record.id, record.prompt) for record in subset}
            records = [record for record in records if (record.set, record.id, record.prompt) in chosen]
        own = [record for record in records if measurement.answers and measurement.data.role(record.set) == "forget"]
        others = [
            record for record in records if not (measurement.answers and measurement.data.role(record.set) == "forget")
        ]
        for part, answer in ((own, measurement.answers), (others, Drawn(self.decoding))):
            if answer is not None:
                answer(
                    measurement.model, part, self.max_new_tokens, self.batch_size, f"Answering ({measurement.split})"
                )


@dataclass
class Reference(Annotator):
    """How likely a reference model finds the responses.

    Args:
        load: gives the reference; None for the run's own model as it was loaded.
    """

    load: Callable[[], LanguageModel] | None = None

    gives: ClassVar[tuple[str, ...]] = ("reference_log_probs",)
    reads: ClassVar[tuple[str, ...]] = ("response",)
    forward = True

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        with self._network(measurement.model) as (network, tokenizer, limit):
            texts = [free_text(tokenizer, record.response, record.ended, limit) for record in records]
            scores = score(network, texts, desc="Perplexity")
        for record, scored in zip(records, scores, strict=True):
            record.reference_log_probs = scored.log_probs

    def content(self) -> Any:
        return ["reference", fingerprint(self.model()) if self.load else None]

    def model(self) -> LanguageModel:
        """The reference where it is not the run's own; loaded once."""
        assert self.load is not None
        self._loaded: LanguageModel = getattr(self, "_loaded", None) or self.load()
        return self._loaded

    @contextlib.contextmanager
    def _network(self, model: LanguageModel) -> Iterator[tuple[Any, Any, int]]:
        own = self.load is None
        reference = model if own else self.model()
        with model.loaded() if own else reference.current() as network:
            yield network, reference.tokenizer, reference.max_length


@dataclass
class Judged(Annotator):
    """The judge's verdicts on the responses."""

    judge: Judge

    gives = ("harmful", "kind", "why")
    reads = ("response",)

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        write_verdicts(records, self.judge)


@dataclass
class Originals(Annotator):
    """The start model's responses."""

    gives = ("original",)
    reads = ("response",)
    compares = True

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        for record, old in zip(records, measurement.originals, strict=True):
            record.original = old.response


@dataclass
class Compared(Annotator):
    """How alike responses are to the start model's."""

    similarity: Similarity

    gives = ("similarity",)
    reads = ("response",)
    compares = True

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        old, new = [record.response for record in measurement.originals], [record.response for record in records]
        for record, value in zip(records, self.similarity.score(old, new), strict=True):
            record.similarity = value


@dataclass
class Guard(Annotator):
    """What a classifier in front of the model lets it answer (Tian et al. 2024, finding 3).

    It is trained on the questions of the data's forget and retain streams.
    """

    classifier: ScopeClassifier
    fitted: bool = False

    gives = ("let_through",)

    def check(self, data: Data) -> None:
        training(data)

    def __call__(self, records: list[Record], measurement: Measurement) -> None:
        if not self.fitted:
            self.classifier.fit(*training(measurement.data))
            self.fitted = True
        called = self.classifier.predict([record.prompt for record in records])
        for record, label in zip(records, called, strict=True):
            record.let_through = label == LABELS["retention"]
