"""A little training on what was to be forgotten, tested on the rest of it."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch

from unlearnkit import ranks
from unlearnkit.attacks.base import OfWeights
from unlearnkit.attacks.divided import Divided
from unlearnkit.data.streams import Shuffled, Stream
from unlearnkit.losses.nll import NLL
from unlearnkit.models import LanguageModel
from unlearnkit.models.copies import changed
from unlearnkit.settings.bounds import AboveZero, Arguments, Positive, Share
from unlearnkit.stages.base import Context
from unlearnkit.stages.finetune import TRAINING, Finetune

STREAM = "relearn"
LORA = Arguments("peft.tuners.lora.config.LoraConfig")


class Relearn(Divided, OfWeights):
    """Fine-tune on a share of some rows, and measure what comes back of the forget side's others (see `Divided`).

    A rate is trained for as many steps as the last of `steps`, and tried at each of them.

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
        super().__init__(stream, share, steps, rates, file)
        self.batch_size, self.lora, self.beside = batch_size, lora, lora is not None
        self.arguments = {"max_grad_norm": max_grad_norm, **(arguments or {})}

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        """The model at the rate and the step at which most comes back; `details` says which, and what each gave."""
        best: dict[str, torch.Tensor] = {}
        self.begin()
        for rate in self.rates:
            with changed(model, self.lora) as attacked:
                self._train(attacked, rate, best)
        with changed(model, self.lora) as attacked:
            attacked.weights.make_trainable()
            parameters = dict(attacked.model.named_parameters())
            for name, tensor in best.items():
                parameters[name].data.copy_(tensor)
            yield attacked

    def _train(self, model: LanguageModel, rate: float, best: dict[str, torch.Tensor]) -> None:
        def try_at(model: LanguageModel, step: int) -> None:
            if step in self.steps and self.try_at(model, rate, step):
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
