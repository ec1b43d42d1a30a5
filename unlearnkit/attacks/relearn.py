"""A little training on what was to be forgotten, tested on the rest of it."""

from __future__ import annotations

import contextlib
import math
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import torch

from unlearnkit import ranks
from unlearnkit.attacks.base import OfWeights, Scene
from unlearnkit.data.columns import Columns
from unlearnkit.data.examples import Example
from unlearnkit.data.rows import rows
from unlearnkit.data.streams import Shuffled, Stream
from unlearnkit.errors import UserError
from unlearnkit.losses.nll import NLL
from unlearnkit.models import LanguageModel
from unlearnkit.models.copies import changed
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.settings.bounds import AboveZero, Arguments, Positive, Share
from unlearnkit.stages.base import Context
from unlearnkit.stages.finetune import TRAINING, Finetune

STREAM = "relearn"
LORA = Arguments("peft.LoraConfig")


class Relearn(OfWeights):
    r"""Fine-tune on a share of some rows, and measure what comes back of the forget side's others.

    The rows are divided by their content: a share that is trained on; of the other rows of the forget side one half, on
    which the rate and the step are chosen at which most comes back; and the other half, which the model is measured on.
    Most comes back where

    .. math:: \frac{1}{n} \sum_i \frac{1}{|y_i|} \sum_t \log p(y_{i,t} \mid x_i, y_{i,<t})

    is highest. A rate is trained for as many steps as the last of `steps`, and tried at each of them.

    Łucki et al. 2024 (arXiv 2409.18025) train a fresh LoRA of rank 128 on 5 to 1000 rows; the worst of several rates is
    taken by Siddiqui et al. 2025 (UNDO, arXiv 2506.06278).

    Args:
        stream: which is trained: of the forget side, of text beside it (retain), or of unrelated text (general).
        file: rows that are trained in a stream's place, as `data=files` reads them.
        share: of its rows.
        steps: at which the attacked model is tried.
        rates: of learning, held constant.
        lora: arguments of `peft.LoraConfig` for a fresh adapter over the attacked model; None: all weights.
        arguments: further `transformers.TrainingArguments`.
    """

    def __init__(
        self,
        stream: str = "forget",
        file: str | None = None,
        share: Share = 0.5,
        steps: Sequence[int] = (10, 25, 50, 150),
        rates: Sequence[float] = (1e-5, 5e-5, 2e-4),
        batch_size: Positive = 4,
        lora: Annotated[dict[str, Any] | None, LORA] = None,
        max_grad_norm: AboveZero = 1.0,
        arguments: Annotated[dict[str, Any] | None, TRAINING] = None,
    ):
        self.stream, self.file, self.share = stream, file, share
        self.batch_size, self.lora = batch_size, lora
        self.steps, self.rates = sorted({int(step) for step in steps}), [float(rate) for rate in rates]
        self.arguments = {"max_grad_norm": max_grad_norm, **(arguments or {})}

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
        asked = [
            row
            for set_name, splits in scene.data.sets.items()
            if scene.data.role(set_name) == "forget"
            for row in splits["test"]
        ]
        if not self.taught or not self.choosing or (asked and not any(self.asks(row) for row in asked)):
            left = f"leaves {sum(map(self.asks, asked))} of {len(asked)} to test on"
            raise UserError(
                f"{key}.share={self.share:g} of {len(ordered)} rows trains on {len(self.taught)}, chooses on"
                f" {len(self.choosing)} forget rows and {left}",
                f"Set {key}.share= between 0 and 1, so that each has some",
            )

    def _rows(self, key: str) -> Sequence[Example]:
        """What is trained on a share of."""
        if self.file is not None:
            read = (Columns().read(row) for row in rows(self.file, f"{key}.file"))
            return [Example(row.place, row.prompt, row.response) for row in read]
        data = self.scene.data
        if not (found := data.streams.get(self.stream)):
            raise UserError(
                f"{key}.stream={self.stream} is no stream of the data '{data.name}' (streams:"
                f" {', '.join(data.streams)})",
                f"Set {key}.stream= to one of these",
            )
        return found

    def asks(self, row: Example) -> bool:
        return (row.prompt, row.response) not in self._used

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        """The model at the rate and the step at which most comes back; `found` then says which, and what each gave."""
        best: dict[str, torch.Tensor] = {}
        self.found: dict[str, Any] = {"tried": []}
        for rate in self.rates:
            with changed(model, self.lora) as attacked:
                self._train(attacked, rate, best)
        with changed(model, self.lora) as attacked:
            attacked.weights.make_trainable()
            named = dict(attacked.model.named_parameters())
            for name, tensor in best.items():
                named[name].data.copy_(tensor)
            yield attacked

    def _train(self, model: LanguageModel, rate: float, best: dict[str, torch.Tensor]) -> None:
        def try_at(model: LanguageModel, step: int) -> None:
            if step not in self.steps:
                return
            value = self._comes_back(model)
            self.found["tried"].append({"rate": rate, "step": step, "log_prob": value})
            if math.isfinite(value) and value > self.found.get("log_prob", -math.inf):
                self.found |= {"rate": rate, "step": step, "log_prob": value}
                trained = {name: weight for name, weight in model.model.named_parameters() if weight.requires_grad}
                best.update({name: weight.detach().to("cpu", copy=True) for name, weight in trained.items()})

        arguments = {
            "learning_rate": rate,
            "lr_scheduler_type": "constant",
            "logging_steps": max(self.steps),
            "save_strategy": "no",
            "disable_tqdm": True,
            **self.arguments,
        }
        stage = Finetune({STREAM: NLL(STREAM)}, max(self.steps), self.batch_size, arguments=arguments, truncate=True)
        streams: dict[str, Stream] = {STREAM: Shuffled(STREAM, self.taught)}
        folder = self.scene.folder
        try:
            every = math.gcd(*self.steps)
            stage(model, Context(streams, self.scene.seed, folder, self.name, try_at, every))
        finally:
            if ranks.is_first():
                shutil.rmtree(folder, ignore_errors=True)

    def _comes_back(self, model: LanguageModel) -> float:
        records = records_of({STREAM: self.choosing})
        force_answers(model, records)
        means = [sum(r.answer_log_probs) / len(r.answer_log_probs) for r in records if r.answer_log_probs]
        return sum(means) / len(means) if means else math.nan


def by_content(found: Iterable[Example]) -> list[Example]:
    """Each row once, in an order that depends on no other row, file or seed."""
    return sorted(dict.fromkeys(found), key=lambda row: zlib.crc32(f"{row.prompt}\n{row.response}".encode()))
