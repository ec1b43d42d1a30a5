"""The scopes evaluation: the data's own answers teacher-forced once, some generated; every metric from these."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations.base import Evaluation, Metric
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import generate, records_of
from unlearnkit.records.lengths import check_lengths
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive


class Scopes(Evaluation):
    """Unlearn Success and Retention Success with their averages, perplexity and ROUGE-L (Tian et al. 2024, 2.3).

    Args:
        sets: set -> metrics. A set is one of the data's, one of these with `_NAME` of a prefix behind it, or a
            union. See `Evaluation`.
        prefixes: name -> text that stands before the question (finding 2, figure 5).
        unions: name -> the sets whose records it joins.
        generated: the sets whose questions are answered freely too, for ROUGE-L.
        curve_sets: the sets measured during training; nothing is generated there.
        max_new_tokens: of a response.
        limit, curve_limit: questions a set at the end and during training; all if None.
        generate_limit: of these, how many are answered freely.
    """

    def __init__(
        self,
        sets: dict[str, list[str]],
        metrics: dict[str, Metric],
        prefixes: dict[str, str],
        unions: dict[str, list[str]],
        generated: list[str],
        curve_sets: list[str],
        max_new_tokens: Positive = 64,
        batch_size: Positive = 64,
        limit: Positive | None = None,
        curve_limit: Positive | None = None,
        generate_limit: Positive | None = None,
    ):
        super().__init__("scopes", sets, metrics)
        self.prefixes, self.unions, self.generated, self.curve_sets = prefixes, unions, generated, curve_sets
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self.limit, self.curve_limit, self.generate_limit = limit, curve_limit, generate_limit

    def members(self, name: str) -> list[str]:
        return self.unions.get(name, [name])

    def source(self, name: str) -> str:
        return next((name.removesuffix(f"_{p}") for p in self.prefixes if name.endswith(f"_{p}")), name)

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None, curve: bool = False
    ) -> list[Record]:
        names = self.curve_sets if curve else dict.fromkeys(m for name in self.sets for m in self.members(name))
        examples = {name: self._examples(data, name, split, curve) for name in names}
        free = [] if curve else self.generated
        check_lengths(model, examples, self.max_new_tokens, [name for name in free if name in examples], examples)
        if original is not None:
            return self._records(model, examples, free)
        content = {
            "model": fingerprint(model),
            "settings": [self.max_new_tokens, self.batch_size, self.generate_limit, free],
            "examples": {name: [asdict(example) for example in rows] for name, rows in examples.items()},
        }
        return cached(content, lambda: self._records(model, examples, free))

    def _examples(self, data: Data, name: str, split: str, curve: bool) -> list[Example]:
        rows = spread(data.sets[self.source(name)][split], self.curve_limit if curve else self.limit)
        prefix = next((text for p, text in self.prefixes.items() if name.endswith(f"_{p}")), "")
        return [replace(row, prompt=prefix + row.prompt) for row in rows]

    def _records(self, model: LanguageModel, examples: dict[str, list[Example]], free: list[str]) -> list[Record]:
        records = records_of(examples)
        force_answers(model, records)
        asked = [
            record for name in free for record in spread([r for r in records if r.set == name], self.generate_limit)
        ]
        generate(model, asked, self.max_new_tokens, self.batch_size)
        return records


def spread(rows: list, limit: int | None) -> list:
    """`limit` of the rows, evenly spaced and in order, so that every author or book has its share."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, limit).round()]
