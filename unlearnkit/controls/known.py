"""The choice of facts that a model knows."""

from __future__ import annotations

from pathlib import Path

from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError
from unlearnkit.evaluations.facts import forced
from unlearnkit.models import LanguageModel
from unlearnkit.settings.bounds import Count


class Known:
    """A target that teaches nothing: the model as it is, and of the data only the facts that it knows.

    A fact counts as known if argmax hits every token of its attribute. Sets, and the streams that are one with
    them, are cut down in place.

    Args:
        limits: set -> how many known facts are taken of each split, in the data's order; all if None.
    """

    merge = True

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
