"""A run's curves in TensorBoard's own files, below `tensorboard/` of the run folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column, before_and_after
from unlearnkit.measures.display import only_in_figures
from unlearnkit.measures.interval import Estimate
from unlearnkit.secrets import redacted

FOLDER = "tensorboard"


class TensorBoard:
    """`tensorboard --logdir outputs` shows it.

    Names: `train/STAGE/loss` and `curve/EVALUATION/SET/METRIC` over steps, `krs/SETTING` over layers; `before/...` and
    `after/...` are single points; config and answers are texts.

    Args:
        answers: how many are shown.

    Raises:
        UserError: the package `tensorboard` is not installed.
    """

    def __init__(self, answers: int = 50):
        self.answers = answers
        if importlib.util.find_spec("tensorboard") is None:  # before a model is loaded
            raise UserError(
                "logger=tensorboard needs the package tensorboard, which is not installed",
                "pip install tensorboard; or choose logger=wandb (offline by default) or logger=none",
            )

    def start(self, config: dict[str, Any], folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / FOLDER))
        self.writer.add_text("config", f"```yaml\n{yaml.safe_dump(redacted(config), sort_keys=False)}```")

    def log(self, row: dict[str, Any]) -> None:
        self._log(f"train/{row.get('stage', 'run')}", row)

    def point(self, row: dict[str, Any]) -> None:
        self._log("curve", {key: value for key, value in row.items() if not only_in_figures(key.split("/")[-1])})

    def _log(self, place: str, row: Mapping[str, Any]) -> None:
        for key, value in row.items():
            if key not in ("stage", "step") and isinstance(value, int | float):
                self.writer.add_scalar(f"{place}/{key}", value, row.get("step", 0))

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None:
        before, after = before_and_after(metrics)
        for when, numbers in (("before", before), ("after", after)):
            for column, entry in numbers.items():
                if not only_in_figures(column[-1]):
                    self.writer.add_scalar("/".join((when, *column)), entry.value, 0)
        self._log_layers(after)
        for number, row in enumerate(answers[: self.answers]):
            lines = [f"**{key}**: {row[key]}" for key in ("prompt", "before", "after") if row.get(key) is not None]
            self.writer.add_text(f"answers/{row.get('set', 'all')}", "\n\n".join(lines), number)
        self.writer.close()

    def _log_layers(self, numbers: Mapping[Column, Estimate]) -> None:
        for column, entry in numbers.items():
            if only_in_figures(column[-1]):
                self.writer.add_scalar("/".join(column[:-1]), entry.value, int(column[-1].removeprefix("layer_")))
