"""The safety evaluation: generate once, let judge, reference and encoder annotate, then compute every metric."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError, nearest
from unlearnkit.judges.base import Judge, write_verdicts
from unlearnkit.metrics.interval import Estimate
from unlearnkit.models import LanguageModel
from unlearnkit.records.cache import cached, fingerprint
from unlearnkit.records.forward import free_text, score
from unlearnkit.records.generate import generate
from unlearnkit.records.record import Record

Metric = Callable[..., Estimate]


class Similarity(Protocol):
    """Scores how alike two texts are; `name` is the metric that reads the scores."""

    name: str

    def score(self, references: list[str], candidates: list[str]) -> list[float]: ...


class Evaluations:
    """All evaluations of a run, by name; each is asked in turn."""

    def __init__(self, parts: dict[str, Safety], data: Data, seed: int):
        self.parts, self.data, self.seed = parts, data, seed
        for part in parts.values():
            part.check(data)

    def measure(
        self, model: LanguageModel, split: str, original: dict[str, list[Record]] | None = None
    ) -> dict[str, list[Record]]:
        """evaluation -> records of `model` on a split; `original` are those of the unchanged model."""
        return {
            name: part.measure(model, self.data, split, original[name] if original else None)
            for name, part in self.parts.items()
        }

    def compute(self, records: dict[str, list[Record]]) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """evaluation -> set -> metric -> {value, low, high, n, seed}."""
        return {name: self.parts[name].compute(rows, self.seed) for name, rows in records.items()}


class Safety:
    """Harmful rate, perplexity and similarity on unlearned, unseen and normal prompts (Liu et al. 2024, 5.3).

    Args:
        sets: evaluation set -> names of the metrics measured on it.
        metrics: name -> function of records.
        judge: annotates the sets that have `harmful_rate`.
        similarity: compares responses with the original model's, on the sets that have the metric of its name.
        reference: loads the model that perplexity is measured under; None for the run's own base model.
        max_new_tokens: of a response.
        limit: prompts a set in the final measurement (all if None).
        curve_limit: prompts a set in the measurements during training.
    """

    def __init__(
        self,
        sets: dict[str, list[str]],
        metrics: dict[str, Metric],
        judge: Judge,
        similarity: Similarity,
        reference: Callable[[], LanguageModel] | None = None,
        max_new_tokens: int = 40,
        batch_size: int = 64,
        limit: int | None = None,
        curve_limit: int | None = 16,
    ):
        for name, wanted in sets.items():
            for metric in wanted:
                if metric not in metrics:
                    raise UserError(
                        f"Unknown metric '{metric}' for the set '{name}'.{nearest(metric, metrics)}"
                        f" Valid: {', '.join(metrics)}",
                        f"Set eval.safety.sets.{name} to some of these",
                    )
        self.sets, self.metrics, self.judge, self.similarity = sets, metrics, judge, similarity
        self.reference, self.max_new_tokens, self.batch_size = reference, max_new_tokens, batch_size
        self.limits = {"test": limit, "validation": curve_limit}
        self._reference: LanguageModel | None = None

    def check(self, data: Data) -> None:
        """Refuse sets that the data does not have, before anything is computed."""
        for name in self.sets:
            if name not in data.sets:
                raise UserError(
                    f"Unknown evaluation set '{name}'.{nearest(name, data.sets)} The data '{data.name}' has:"
                    f" {', '.join(data.sets)}",
                    f"Remove it with '~eval.safety.sets.{name}' or choose other data with data=",
                )

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None
    ) -> list[Record]:
        """Records of `model` on a split; `original` are the unchanged model's, or None if this is that model."""
        examples = {name: data.sets[name][split][: self.limits[split]] for name in self.sets}
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
        write_verdicts(self._measured_by("harmful_rate", records), self.judge)
        compared = self._measured_by(self.similarity.name, records)
        originals = self._measured_by(self.similarity.name, original or records)
        values = self.similarity.score([old.response for old in originals], [new.response for new in compared])
        for record, value in zip(compared, values, strict=True):
            record.similarity = value
        return records

    def _records(self, model: LanguageModel, examples: dict[str, list[Example]], split: str) -> list[Record]:
        """All that needs a forward pass."""
        records = generate(model, examples, self.max_new_tokens, self.batch_size, f"Answering ({split})")
        self._force_answers(model, self._measured_by("answer_perplexity", records), examples)
        with self._perplexity_under(model) as (network, tokenizer, limit):
            texts = [free_text(tokenizer, record.response, record.ended, limit) for record in records]
            scores = score(network, texts, desc="Perplexity")
        for record, scored in zip(records, scores, strict=True):
            record.reference_log_probs = scored.log_probs
        return records

    def _measured_by(self, metric: str, records: list[Record]) -> list[Record]:
        return [record for record in records if metric in self.sets[record.set]]

    def _force_answers(self, model: LanguageModel, records: list[Record], examples: dict[str, list[Example]]) -> None:
        answers = {(name, row.id): row.response for name, rows in examples.items() for row in rows}
        tokens = []
        for record in records:
            prompt, answer = model.template.encode(model.tokenizer, record.prompt, answers[record.set, record.id])
            tokens.append((tuple(prompt), tuple(answer)))
        for record, scored in zip(records, score(model.model, tokens, desc="Answers"), strict=True):
            record.answer_log_probs = scored.log_probs

    def compute(self, records: list[Record], seed: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
        """set -> metric -> {value, low, high, n, seed}; a pure function of the records."""
        return {
            name: {
                metric: asdict(self.metrics[metric]([r for r in records if r.set == name], seed=seed))
                for metric in wanted
            }
            for name, wanted in self.sets.items()
        }

    def reference_model(self) -> LanguageModel:
        """The model that perplexity is measured under, where it is not the run's own base; loaded once."""
        assert self.reference is not None
        self._reference = self._reference or self.reference()
        return self._reference

    @contextlib.contextmanager
    def _perplexity_under(self, model: LanguageModel) -> Iterator[tuple[Any, Any, int]]:
        if self.reference is None:
            with model.as_base() as base:
                yield base, model.tokenizer, model.max_length
        else:
            reference = self.reference_model()
            yield reference.model, reference.tokenizer, reference.max_length
