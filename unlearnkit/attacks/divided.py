"""An attack that learns from some rows and is tested on others."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.data.columns import Columns
from unlearnkit.data.examples import Example
from unlearnkit.data.rows import rows
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.settings.bounds import Share

CHOOSING = "choosing"


class Divided(Attack):
    r"""The rows are divided by their content.

    A share of a stream's, or of a file's, is learnt from; of the other rows of the forget side one half, on which the
    rate and the step are chosen at which most comes back; and the other half, which the model is measured on. Most
    comes back where

    .. math:: \frac{1}{n} \sum_i \frac{1}{|y_i|} \sum_t \log p(y_{i,t} \mid x_i, y_{i,<t})

    is highest.

    Args:
        stream: which is learnt from: the forget side, text beside it (retain), or unrelated text (general).
        share: of its rows.
        steps: at which the attacked model is tried.
        rates: of learning.
        file: rows that are learnt from in the stream's place, as `data=files` reads them.
    """

    def __init__(
        self, stream: str, share: Share, steps: Sequence[int], rates: Sequence[float], file: str | None = None
    ):
        self.stream, self.share, self.file = stream, share, file
        self.steps, self.rates = sorted({int(step) for step in steps}), [float(rate) for rate in rates]

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        key = f"attacks.{name}"
        for setting, values in (("steps", self.steps), ("rates", self.rates)):
            if not values or min(values) <= 0:
                raise UserError(f"{key}.{setting}={values} has no value above 0", f"Set {key}.{setting}= to some")
        ordered = by_content(self._rows(key))
        self.taught = ordered[: round(self.share * len(ordered))]
        sides = [own for stream, own in scene.data.streams.items() if scene.data.role(stream) == "forget"]
        others = [row for row in by_content(row for own in sides for row in own) if row not in set(self.taught)]
        self.choosing = others[: math.ceil(len(others) / 2)]
        self._used = {(row.prompt, row.response) for row in (*self.taught, *self.choosing)}
        measured = [
            row
            for set_name, splits in scene.data.sets.items()
            if scene.data.role(set_name) == "forget"
            for row in splits["test"]
        ]
        if not self.taught or not self.choosing or (measured and not any(self.asks(row) for row in measured)):
            left = f"leaves {sum(map(self.asks, measured))} of {len(measured)} to test on"
            raise UserError(
                f"{key}.share={self.share:g} of {len(ordered)} rows trains on {len(self.taught)}, chooses on"
                f" {len(self.choosing)} forget rows and {left}",
                f"Set {key}.share= between 0 and 1, so that each has some",
            )

    def _rows(self, key: str) -> Sequence[Example]:
        """What is learnt from a share of."""
        if self.file is not None:
            read = (Columns().read(row) for row in rows(self.file, f"{key}.file"))
            return [Example(row.place, row.prompt, row.response) for row in read]
        data = self.scene.data
        if not (examples := data.streams.get(self.stream)):
            raise UserError(
                f"{key}.stream={self.stream} is no stream of the data '{data.name}' (streams:"
                f" {', '.join(data.streams)})",
                f"Set {key}.stream= to one of these",
            )
        return examples

    def asks(self, row: Example) -> bool:
        return (row.prompt, row.response) not in self._used

    def begin(self) -> None:
        """Nothing was tried yet."""
        self.details: dict[str, Any] = {"tried": []}

    def try_at(self, model: LanguageModel, rate: float, step: int) -> bool:
        """Note what comes back here; whether it is the most so far."""
        value = self._comes_back(model)
        self.details["tried"].append({"rate": rate, "step": step, "log_prob": value})
        if not math.isfinite(value) or value <= self.details.get("log_prob", -math.inf):
            return False
        self.details |= {"rate": rate, "step": step, "log_prob": value}
        return True

    def _comes_back(self, model: LanguageModel) -> float:
        records = records_of({CHOOSING: self.choosing})
        force_answers(model, records)
        means = [sum(r.answer_log_probs) / len(r.answer_log_probs) for r in records if r.answer_log_probs]
        return sum(means) / len(means) if means else math.nan


def by_content(examples: Iterable[Example]) -> list[Example]:
    """Each row once, in an order that depends on no other row, file or seed."""
    return sorted(dict.fromkeys(examples), key=lambda row: zlib.crc32(f"{row.prompt}\n{row.response}".encode()))
