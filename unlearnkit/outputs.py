"""What a run leaves behind. Everything is written to a temporary name and renamed."""

from __future__ import annotations

import json
import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from peft import PeftModel

from unlearnkit import __version__
from unlearnkit.errors import UserError
from unlearnkit.memory import peak_memory
from unlearnkit.models import LanguageModel
from unlearnkit.records.record import Record, write_parquet
from unlearnkit.report import write_report
from unlearnkit.stages.negate import base_folder_in
from unlearnkit.tracking import Tracker

Records = dict[str, list[Record]]  # evaluation -> its records


class RunFolder:
    """A run's folder: config.yaml, metrics.json, records/, generations.jsonl, log.jsonl, model/, report.html.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path, config: dict[str, Any]):
        self.folder, self.config, self.started = folder, config, time.monotonic()
        self.metrics: dict[str, Any] = {"run": {}, "before": None, "after": None, "curve": []}
        try:
            (folder / "records").mkdir(parents=True, exist_ok=True)
            write(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        except OSError as error:
            raise UserError(
                f"The run folder {folder} cannot be written: {error.strerror or error}",
                "Free some space or choose another folder with hydra.run.dir=FOLDER",
            ) from error

    def write_measurement(self, when: str, records: Records, numbers: dict[str, Any]) -> None:
        """Records of every evaluation and their metrics, `when` being "before" or "after"."""
        for name, rows in records.items():
            write_parquet(rows, self.folder / "records" / f"{when}-{name}.parquet")
        self.metrics[when] = numbers
        self._write_metrics()

    def write_point(self, stage: str, step: int, numbers: dict[str, Any]) -> dict[str, Any]:
        """A point of the curves over training steps; returns it flat, for the tracker."""
        self.metrics["curve"].append({"stage": stage, "step": step, "metrics": numbers})
        self._write_metrics()
        flat = {
            f"{evaluation}/{name}/{metric}": estimate["value"]
            for evaluation, sets in numbers.items()
            for name, metrics in sets.items()
            for metric, estimate in metrics.items()
        }
        return {"stage": stage, "step": step, **flat}

    def keep_base(self, model: LanguageModel) -> None:
        """The base weights on disk for the stages that need them; nothing under LoRA, which keeps them apart."""
        if model.lora is None:
            model.model.save_pretrained(base_folder_in(self.folder))

    def write_model(self, model: LanguageModel) -> None:
        """`model/`: the adapter or the full weights, the tokenizer and a model card."""
        try:
            model.save(self.folder / "model")
        except OSError as error:
            raise UserError(
                f"The model could not be saved to {self.folder / 'model'}: {error.strerror or error}",
                "Free some space and run again; the metrics and answers so far are in the run folder",
            ) from error
        write(self.folder / "model" / "README.md", self._card(model))

    def finish(self, tracker: Tracker, before: Records, after: Records | None = None) -> dict[str, Any]:
        """Answers side by side, the report, the tracker's end; returns the metrics."""
        rows = answers(before, after)
        write(self.folder / "generations.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self._write_metrics()
        write_report(self.folder)
        shutil.rmtree(base_folder_in(self.folder), ignore_errors=True)
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        tracker.finish(self.metrics, rows)
        return self.metrics

    def _write_metrics(self) -> None:
        self.metrics["run"] = {
            "method": self.config["method"],
            "model": self.config["model"]["name"],
            "data": self.config["data"]["name"],
            "seed": self.config["seed"],
            "minutes": round((time.monotonic() - self.started) / 60, 2),
            "peak_memory_gb": round(peak_memory() / 1e9, 2),
            "versions": versions(),
        }
        write(self.folder / "metrics.json", json.dumps(self.metrics, indent=1))

    def _card(self, model: LanguageModel) -> str:
        run = self.metrics["run"]
        kind = "LoRA adapter" if isinstance(model.model, PeftModel) else "full weights"
        return (
            f"---\nbase_model: {model.source}\nlibrary_name: {'peft' if kind != 'full weights' else 'transformers'}\n"
            f"tags: [unlearning, {run['method']}]\n---\n"
            f"# {run['model']} after {run['method']} on {run['data']}\n\n"
            f"{kind}, written by unlearnkit {__version__}, seed {run['seed']}. What it was measured to do:\n\n"
            f"```json\n{json.dumps(self.metrics['after'], indent=1)}\n```\n"
        )


def answers(before: Records, after: Records | None) -> list[dict[str, Any]]:
    """One row an example that was answered: the response and the verdict before and after."""
    rows = []
    for name, first in before.items():
        second: list[Record | None] = list(after[name]) if after else [None] * len(first)
        for old, new in zip(first, second, strict=True):
            if not (old.tokens or old.response):  # teacher-forced only
                continue
            row: dict[str, Any] = {
                "set": old.set,
                "id": old.id,
                "category": old.category,
                "prompt": old.prompt,
                "answer": old.answer,
            }
            for when, record in (("before", old), ("after", new)):
                row[when] = record.response if record else None
                for field in ("harmful", "kind", "why"):
                    row[f"{field}_{when}"] = getattr(record, field) if record else None
            rows.append(row)
    return rows


def write(path: Path, text: str) -> None:
    """Write a text file to a temporary name and rename it, so that a killed run leaves the old one whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def versions() -> dict[str, str]:
    """Of the packages that decide a number."""
    names = ("torch", "transformers", "peft", "accelerate", "datasets")
    return {"unlearnkit": __version__, **{name: version(name) for name in names}}
