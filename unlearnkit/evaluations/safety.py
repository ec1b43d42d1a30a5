"""The safety evaluation: generate once, let judge, reference and encoder annotate, then compute every metric."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol

from unlearnkit import ranks
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.spread import spread
from unlearnkit.evaluations.base import Evaluation, Metric
from unlearnkit.judges.base import Judge, write_verdicts
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.forward import force_answers, free_text, score
from unlearnkit.records.generate import generate, records_of
from unlearnkit.records.lengths import check_lengths
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive


class Similarity(Protocol):
    """Scores how alike two texts are; `name` is the metric that reads the scores."""

    name: str

    def score(self, references: list[str], candidates: list[str]) -> list[float]: ...


class Safety(Evaluation):
    """Harmful rate, perplexity and similarity on unlearned, unseen and normal prompts (Liu et al. 2024, 5.3).

    Args:
        sets, metrics: see `Evaluation`.
        judge: annotates the sets that have `harmful_rate`.
        similarity: compares responses with the original model's, on the sets that have the metric of its name.
        reference: loads the model that perplexity is measured under; None for the run's own as it was loaded.
        max_new_tokens: of a response.
        limit: prompts a set in the final measurement (all if None), spread over their categories.
        curve_limit: prompts a set in the measurements during training.
    """

    def __init__(
        self,
        sets: dict[str, list[str]],
        metrics: dict[str, Metric],
        judge: Judge,
        similarity: Similarity,
        reference: Callable[[], LanguageModel] | None = None,
        max_new_tokens: Positive = 40,
        batch_size: Positive = 64,
        limit: Positive | None = None,
        curve_limit: Positive | None = 16,
    ):
        super().__init__("safety", sets, metrics)
        self.judge, self.similarity = judge, similarity
        self.reference, self.max_new_tokens, self.batch_size = reference, max_new_tokens, batch_size
        self.limit, self.curve_limit = limit, curve_limit
        self._reference: LanguageModel | None = None

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None, curve: bool = False
    ) -> list[Record]:
        limit = self.curve_limit if curve else self.limit
        examples = {name: spread(data.sets[name][split], limit) for name in self.sets}
        forced = [name for name, wanted in self.sets.items() if "answer_perplexity" in wanted]
        check_lengths(model, examples, self.max_new_tokens, examples, forced)
        if original is None:  # the model as loaded, which every run of a sweep measures
            content = {
                "model": fingerprint(model),
                "reference": fingerprint(self.reference_model()) if self.reference else None,
                "settings": [self.sets, self.max_new_tokens, self.batch_size],
                "examples": {name: [asdict(example) for example in rows] for name, rows in examples.items()},
            }
            records = cached(content, lambda: self._records(model, examples, split))
        else:
            records = self._records(model, examples, split)
        return ranks.from_first(lambda: self._annotated(records, original))

    def _annotated(self, records: list[Record], original: list[Record] | None) -> list[Record]:
        """What judge and encoder say of the responses."""
        write_verdicts(self._measured_by("harmful_rate", records), self.judge)
        compared = self._measured_by(self.similarity.name, records)
        originals = self._measured_by(self.similarity.name, original or records)
        values = self.similarity.score([old.response for old in originals], [new.response for new in compared])
        for record, value in zip(compared, values, strict=True):
            record.similarity = value
        return records

    def _records(self, model: LanguageModel, examples: dict[str, list[Example]], split: str) -> list[Record]:
        """All that needs a forward pass."""
        records = records_of(examples)
        generate(model, records, self.max_new_tokens, self.batch_size, f"Answering ({split})")
        force_answers(model, self._measured_by("answer_perplexity", records))
        with self._perplexity_under(model) as (network, tokenizer, limit):
            texts = [free_text(tokenizer, record.response, record.ended, limit) for record in records]
            scores = score(network, texts, desc="Perplexity")
        for record, scored in zip(records, scores, strict=True):
            record.reference_log_probs = scored.log_probs
        return records

    def _measured_by(self, metric: str, records: list[Record]) -> list[Record]:
        return [record for record in records if metric in self.sets[record.set]]

    def reference_model(self) -> LanguageModel:
        """The model that perplexity is measured under, where it is not the run's own; loaded once."""
        assert self.reference is not None
        self._reference = self._reference or self.reference()
        return self._reference

    @contextlib.contextmanager
    def _perplexity_under(self, model: LanguageModel) -> Iterator[tuple[Any, Any, int]]:
        if self.reference is None:
            with model.loaded() as network:
                yield network, model.tokenizer, model.max_length
        else:
            reference = self.reference_model()
            with reference.current() as network:
                yield network, reference.tokenizer, reference.max_length
