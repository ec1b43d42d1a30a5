"""The concepts evaluation: greedy answers to questions about the concept and about others, against the original's."""

from __future__ import annotations

from dataclasses import asdict

from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations.base import Evaluation, Metric
from unlearnkit.evaluations.scopes import spread
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.generate import generate, records_of
from unlearnkit.records.lengths import check_lengths
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive


class Concepts(Evaluation):
    """BLEU of answers before and after unlearning, to target and to unrelated questions (Hong et al. 2024, section 4).

    The original model has 100 on every set by definition; unlearning should lower the target's and leave the other.

    Args:
        sets, metrics: see `Evaluation`.
        max_new_tokens: of an answer; the authors' are 30 tokens long.
        limit: questions a set in the final measurement (all if None), evenly spaced.
        curve_limit: questions a set in the measurements during training.
    """

    def __init__(
        self,
        sets: dict[str, list[str]],
        metrics: dict[str, Metric],
        max_new_tokens: Positive = 30,
        batch_size: Positive = 64,
        limit: Positive | None = None,
        curve_limit: Positive | None = None,
    ):
        super().__init__("concepts", sets, metrics)
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self.limit, self.curve_limit = limit, curve_limit

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None, curve: bool = False
    ) -> list[Record]:
        limit = self.curve_limit if curve else self.limit
        examples = {name: spread(data.sets[name][split], limit) for name in self.sets}
        check_lengths(model, examples, self.max_new_tokens, examples, [])
        if original is not None:
            records = self._records(model, examples, split)
        else:  # the model as loaded, which every run of a sweep measures
            content = {
                "model": fingerprint(model),
                "settings": ["concepts", self.max_new_tokens, self.batch_size],
                "examples": {name: [asdict(example) for example in rows] for name, rows in examples.items()},
            }
            records = cached(content, lambda: self._records(model, examples, split))
        for record, old in zip(records, records if original is None else original, strict=True):
            record.original = old.response
        return records

    def _records(self, model: LanguageModel, examples: dict[str, list[Example]], split: str) -> list[Record]:
        records = records_of(examples)
        generate(model, records, self.max_new_tokens, self.batch_size, f"Answering ({split})")
        return records
