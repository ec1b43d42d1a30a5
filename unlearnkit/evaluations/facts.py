"""The facts evaluation."""

from __future__ import annotations

from dataclasses import asdict

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.spread import spread
from unlearnkit.evaluations.base import Evaluation, Metric
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.records.lengths import check_lengths
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive


class Facts(Evaluation):
    """Which attributes are still the top answer: one teacher-forced pass, nothing is generated."""

    def __init__(self, sets: dict[str, list[str]], metrics: dict[str, Metric], curve_limit: Positive | None = None):
        super().__init__("facts", sets, metrics)
        self.curve_limit = curve_limit

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None, curve: bool = False
    ) -> list[Record]:
        limit = self.curve_limit if curve else None
        examples = {name: spread(data.sets[name][split], limit) for name in self.sets}
        return forced(model, examples, keep=original is None)


def forced(model: LanguageModel, examples: dict[str, list[Example]], keep: bool) -> list[Record]:
    """Teacher-forced records.

    Args:
        keep: the model is as it was loaded, so that its records are taken from the cache or put there.
    """

    check_lengths(model, examples, 0, [], examples)

    def compute() -> list[Record]:
        records = records_of(examples)
        force_answers(model, records)
        return records

    if not keep:
        return compute()
    rows = {name: [asdict(example) for example in part] for name, part in examples.items()}
    return cached({"model": fingerprint(model), "facts": rows}, compute)
