"""What a training does beside its steps: shows how far it is, writes its log, times itself, measures and saves."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import ProgressCallback, TrainerCallback

from unlearnkit.measures.interval import median, plain_mean
from unlearnkit.memory import peak_since_reset, reset_peak
from unlearnkit.models import LanguageModel, checkpoints
from unlearnkit.stages.base import Context
from unlearnkit.stages.selected import Selected
from unlearnkit.stages.trainer import TermsTrainer


class Progress(ProgressCallback):
    """The Trainer's progress bar with the loss behind it, instead of a line a step."""

    def __init__(self, stage: str):
        super().__init__()
        self.stage = stage

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:
            self.training_bar.set_description(f"Training ({self.stage})")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if self.training_bar is not None and logs and "loss" in logs:
            self.training_bar.set_postfix(loss=f"{float(logs['loss']):.3g}")


class Report(TrainerCallback):
    """Write what the Trainer logs to `log.jsonl`, time the steps, measure and save every so many steps."""

    trainer: TermsTrainer

    def __init__(
        self,
        model: LanguageModel,
        context: Context,
        max_steps: int,
        save_every: int,
        zero: int | None,
        selected: Selected | None,
    ):
        self.selected = selected
        self.model, self.context, self.max_steps, self.save_every = model, context, max_steps, save_every
        self.zero = zero
        self.seconds: list[float] = []
        self.peaks: list[float] = []

    def go_on_from(self, checkpoint: Path | None) -> int:
        """Take up what a checkpoint was told of the steps before it; returns their number."""
        state = checkpoints.state_of(checkpoint) if checkpoint else None
        if state is None:
            return 0
        self.seconds, self.peaks = state["seconds"], state["peaks"]
        return int(state["step"])

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        reset_peak()
        self.started = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs and "loss" in logs and state.is_world_process_zero:
            row = {"stage": self.context.stage, "step": state.global_step, **logs}
            with (self.context.folder / "log.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.context.log(row)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)
        self.peaks.append(peak_since_reset() / 1e9)
        every, step = self.context.measure_every, state.global_step
        if self.context.measure and every and (step % every == 0 or step == self.max_steps):
            with self.trainer.whole():
                self.context.measure(self.model, step)
                if self.selected:
                    self.selected.consider(step, saving=bool(self.save_every))
        self.trainer.to_tell = {"step": step, "zero": self.zero, "seconds": self.seconds, "peaks": self.peaks}
        if self.save_every and step % self.save_every == 0 and step < self.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.selected:
            self.selected.prune()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        steady = slice(1, None) if len(self.seconds) > 1 else slice(None)  # the first step allocates and warms up
        self.context.cost[self.context.stage] = {
            "seconds_a_step": asdict(median(self.seconds[steady], seed=self.context.seed)),  # a machine may be stopped
            "peak_memory_gb": asdict(plain_mean([max(self.peaks)], seed=self.context.seed)),
        }
