"""The choice of facts that a model knows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from unlearnkit.controls.taught import Untaught
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.records.lengths import check_lengths
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Count


class Known(Untaught):
    """A target that teaches nothing: the model as it is, and of the data only the facts that it knows.

    A fact counts as known if argmax hits every token of its attribute. Sets, and the streams that are one with
    them, are cut down in place.

    Args:
        limits: set -> how many known facts are taken of each split, in the data's order; all if None.
    """

    def __init__(self, limits: dict[str, Count | None]):
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
        records = _forced(model, [every[name] for name in sorted(every)])
        known = {record.id for record in records if record.answer_hits and all(record.answer_hits)}
        for name, rows in examples.items():
            rows[:] = [row for row in rows if row.id in known][: self.limits.get(name.partition("/")[0])]
            if not rows and candidates[name]:
                raise UserError(
                    f"{model.name} knows none of the {candidates[name]} facts of '{name}' in the data '{data.name}'",
                    "Give other facts with data.path=, a model that knows them with model=, or set target=none to"
                    " take them all",
                )
        counts = ", ".join(f"{name} {len(rows)} (of {candidates[name]})" for name, rows in examples.items())
        print(f"Facts that {model.name} knows: {counts}", flush=True)
        return model


def _forced(model: LanguageModel, facts: list[Example]) -> list[Record]:
    """Teacher-forced records, kept in the cache."""
    check_lengths(model, {"facts": facts}, 0, [], ["facts"])

    def make() -> list[Record]:
        records = records_of({"facts": facts})
        force_answers(model, records)
        return records

    return cached({"model": fingerprint(model), "facts": [asdict(fact) for fact in facts]}, make)
