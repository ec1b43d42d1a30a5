"""The facts evaluation, and the choice of facts that a model knows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluation import Evaluation, Metric
from unlearnkit.models import LanguageModel
from unlearnkit.records.cache import cached, fingerprint
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.records.record import Record


class Facts(Evaluation):
    """Which attributes are still the top answer: one teacher-forced pass, nothing is generated."""

    def __init__(self, sets: dict[str, list[str]], metrics: dict[str, Metric], curve_limit: int | None = None):
        super().__init__("facts", sets, metrics)
        self.curve_limit = curve_limit

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None, curve: bool = False
    ) -> list[Record]:
        limit = self.curve_limit if curve else None
        examples = {name: data.sets[name][split][:limit] for name in self.sets}
        return forced(model, examples, keep=original is None)


class Known:
    """A target that teaches nothing: the model as it is, and of the data only the facts that it knows.

    A fact counts as known if argmax hits every token of its attribute. Sets, and the streams that are one with
    them, are cut down in place.

    Args:
        limits: set -> how many known facts are taken of each split, in the data's order.
    """

    merge = True

    def __init__(self, limits: dict[str, int]):
        self.limits = limits

    def __call__(self, model: LanguageModel, data: Data, folder: Path) -> LanguageModel:
        """The model itself; `data` loses what it does not know.

        Raises:
            UserError: nothing of a set is known.
        """
        examples = {f"{name}/{split}": rows for name, splits in data.sets.items() for split, rows in splits.items()}
        candidates = {name: len(rows) for name, rows in examples.items()}
        # In one order whatever their sets, so that every choice of splits finds the same records in the cache.
        every = {row.id: row for _, rows in sorted(examples.items()) for row in rows}
        records = forced(model, {"facts": [every[name] for name in sorted(every)]}, keep=True)
        known = {record.id for record in records if record.answer_hits and all(record.answer_hits)}
        for name, rows in examples.items():
            rows[:] = [row for row in rows if row.id in known][: self.limits.get(name.partition("/")[0])]
            if not rows and candidates[name]:
                raise UserError(
                    f"{model.name} knows none of the {candidates[name]} facts of '{name}' in the data '{data.name}'",
                    "Give other facts with data.path=, a model that knows them with model=, or set target=none to"
                    " take them all",
                )
        told = ", ".join(f"{name} {len(rows)} (of {candidates[name]})" for name, rows in examples.items())
        print(f"Facts that {model.name} knows: {told}", flush=True)
        return model


def forced(model: LanguageModel, examples: dict[str, list[Example]], keep: bool) -> list[Record]:
    """Teacher-forced records.

    Args:
        keep: the model is as it was loaded, so that its records are taken from the cache or put there.
    """

    def compute() -> list[Record]:
        records = records_of(examples)
        force_answers(model, records)
        return records

    if not keep:
        return compute()
    rows = {name: [asdict(example) for example in part] for name, part in examples.items()}
    return cached({"model": fingerprint(model), "facts": rows}, compute)
