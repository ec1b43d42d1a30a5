"""What a run leaves behind. Everything is written to a temporary name and renamed."""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from unlearnkit import ranks
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Records
from unlearnkit.files import without_nan, write, write_numbers
from unlearnkit.identity import differences, versions
from unlearnkit.measures.columns import START, Column, flatten
from unlearnkit.measures.display import Display, written
from unlearnkit.measures.interval import Estimate
from unlearnkit.memory import peak_memory
from unlearnkit.models import LanguageModel
from unlearnkit.models.checkpoints import forget_stages, rewind_log
from unlearnkit.models.precision import AUTO
from unlearnkit.records.record import Record, read_parquet, records_path, write_parquet
from unlearnkit.runs.card import card
from unlearnkit.runs.moments import Moment
from unlearnkit.runs.owner import check_names, own, read_config
from unlearnkit.runs.tracking import Tracker
from unlearnkit.runs.tuned import config_with
from unlearnkit.settings.disk import FULL
from unlearnkit.stages.negate import start_in
from unlearnkit.stages.selection import Choice
from unlearnkit.sums import LOG, check, note


class RunFolder:
    """A run's folder: config.yaml, metrics.json, records/, generations.jsonl, log.jsonl, model/, report.html.

    Rank zero writes; every rank knows the metrics. A folder that holds a part of the same run is gone on with.

    Args:
        resume: "auto", or "never" to refuse a folder that holds a run.

    Raises:
        UserError: the folder cannot be written, or holds another run.
    """

    def __init__(self, folder: Path, config: dict[str, Any], resume: str = "auto"):
        if resume not in ("auto", "never"):
            raise UserError(f"Unknown resume '{resume}'. Valid: auto, never", "Set resume= to one of these")
        check_names(config)
        self.folder, self.config, self.started = folder, config, time.monotonic()
        self.metrics: dict[str, Any] = {"run": {}, "columns": {}, "attacks": [], "moments": []}
        self.metrics |= {"before": None, "after": None, "curve": []}
        try:
            metrics, self.config = ranks.from_first(lambda: self._take(resume))
        except OSError as error:
            if error.errno in FULL:
                raise
            raise UserError(
                f"The run folder {folder} cannot be written: {error.strerror or error}",
                "Choose another folder with hydra.run.dir=FOLDER",
            ) from error
        if metrics:
            self.metrics = metrics
            self.started -= 60 * metrics["run"].get("minutes", 0)
        self._write_card: Callable[[], None] = lambda: None
        self._check_shared()

    def _take(self, resume: str) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Make the folder this run's; the metrics that it holds of the run already, and the config with its dtype."""
        own(self.folder)
        path, metrics_path = self.folder / "config.yaml", self.folder / "metrics.json"
        earlier: Any = read_config(self.folder) if path.is_file() else None
        config = self.config
        if earlier is not None and (dtype := earlier["model"].get("dtype")) and config["model"].get("dtype") == AUTO:
            config = {**config, "model": {**config["model"], "dtype": dtype}}  # another machine may choose otherwise
        if earlier is not None and isinstance(earlier.get("tuned"), dict) and config["train"].get("tune"):
            config = config_with(config, earlier["tuned"]["rate"])
        if earlier is not None:
            if resume == "never":
                raise UserError(
                    f"{self.folder} holds a run already, and resume=never",
                    "Choose another folder with hydra.run.dir=FOLDER, or set resume=auto to go on with it",
                )
            if changes := differences(earlier, config):
                more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
                raise UserError(
                    f"{self.folder} holds a run of another config: {'; '.join(changes[:3])}{more}",
                    "Choose another folder with hydra.run.dir=FOLDER, or give the settings and the files of the run"
                    " that is there",
                )
        if earlier is None:
            write(path, yaml.safe_dump(config, sort_keys=False))
        (self.folder / "records").mkdir(exist_ok=True)
        metrics = read_metrics(metrics_path) if earlier is not None and metrics_path.is_file() else None
        if metrics is None:
            forget_stages(self.folder)  # a curve that lay in lost metrics is measured again
        elif metrics["run"].get("finished"):
            self._remove_needless()  # where a process died at that
        return metrics, config

    def write_tuned(self, tuning: dict[str, Any]) -> None:
        """The learning rate that `train.tune` has chosen, in config.yaml too."""
        if "tuned" not in self.config:
            self.config = config_with(self.config, tuning["rate"])
        if ranks.is_first():
            write(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))
        self.metrics["tuned"] = tuning
        self._write_metrics()

    def begin(self, model: LanguageModel, columns: dict[str, Display], attacks: Iterable[str]) -> None:
        """Say in config.yaml what the model computes in, where "auto" was asked for, and how numbers are shown."""
        self.metrics |= {"columns": {path: written(d) for path, d in columns.items()}, "attacks": [*attacks]}
        if self.config["model"].get("dtype") == AUTO:
            self.config["model"]["dtype"] = str(model.dtype).removeprefix("torch.")
            if ranks.is_first():
                write(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))

    def _check_shared(self) -> None:
        until = time.monotonic() + 30  # a network's file system may be late
        while not (self.folder / "config.yaml").is_file():
            if time.monotonic() > until:
                raise UserError(
                    f"Rank {ranks.rank()} on {platform.node()} does not see the run folder {self.folder}",
                    "Choose a folder that all machines share with hydra.run.dir=FOLDER",
                )
            time.sleep(0.5)

    @property
    def finished(self) -> bool:
        """All that the run is to leave behind is there."""
        return bool(self.metrics["run"].get("finished"))

    def saved_records(self, name: str) -> Records | None:
        """The records of a moment that the run measured before it was cut off; None: it has to be measured."""
        moment = next((moment for moment in self.metrics["moments"] if moment["name"] == name), None)
        if moment is None:
            return None
        parts = [part for part in moment["numbers"] if part != "cost"]
        paths = {part: self._records(name, bool(moment.get("final")), part) for part in parts}
        return ranks.from_first(lambda: read_all(paths))

    def rewind(self, stage: str, step: int) -> None:
        """Forget what was written of a stage after a step, before the stage goes on from there."""
        self.metrics["curve"] = [
            point for point in self.metrics["curve"] if point["stage"] != stage or point["step"] <= step
        ]
        rewind_log(self.folder, stage, step)

    def write_moment(self, moment: Moment, records: Records, numbers: dict[str, Any]) -> None:
        """Records of every evaluation and their numbers; `before` and `after` are the first and the last stage's."""
        step = self.metrics.get("chosen", {}).get(moment.stage, {}).get("step", moment.step)
        row = {"name": moment.name, "stage": moment.stage, "step": step, "final": moment.final}
        self._add(row, records, numbers)
        if moment.name == START:
            self.metrics["before"] = numbers
        if moment.final:
            self.metrics["after"] = numbers
        self._write_metrics()

    def write_control(self, name: str, records: Records, numbers: dict[str, Any]) -> None:
        """The same of a model that is no state of the run's own."""
        self._add({"name": name, "stage": None, "step": 0, "final": False}, records, numbers)
        self._write_metrics()

    def write_recovered(self, attack: str, recovery: dict[str, Any]) -> None:
        """How much of what was unlearnt an attack brought back (`unlearnkit.runs.recovered`)."""
        self.metrics.setdefault("recovered", {})[attack] = recovery
        self._write_metrics()

    def _add(self, row: dict[str, Any], records: Records, numbers: dict[str, Any]) -> None:
        for part, rows in records.items() if ranks.is_first() else ():
            write_parquet(rows, self._records(row["name"], row["final"], part))
        by_name = {there["name"]: there for there in self.metrics["moments"]}
        by_name[row["name"]] = {**row, "numbers": numbers}  # one that is measured anew keeps its place
        self.metrics["moments"] = list(by_name.values())

    def _records(self, name: str, final: bool, part: str) -> Path:
        when = "before" if name == START else "after" if final else name
        return records_path(self.folder, when, part)

    def write_point(
        self, stage: str, step: int, numbers: dict[str, Any], beside: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A point of the curves over training steps; returns it flat, for the tracker.

        Args:
            beside: split -> numbers on it, of splits that nothing is chosen on.
        """
        point = {"stage": stage, "step": step, "metrics": numbers, **({"beside": beside} if beside else {})}
        places = [(there["stage"], there["step"]) for there in self.metrics["curve"]]
        if (stage, step) in places:  # the first point is measured anew when a run goes on
            self.metrics["curve"][places.index((stage, step))] = point
        else:
            self.metrics["curve"].append(point)
        self._write_metrics()
        flat = {
            f"{evaluation}/{name}/{metric}": estimate["value"]
            for evaluation, sets in numbers.items()
            for name, metrics in sets.items()
            for metric, estimate in metrics.items()
        }
        return {"stage": stage, "step": step, **flat}

    def points(self, stage: str) -> dict[int, dict[Column, Estimate]]:
        """Step -> what was measured of a stage; step 0 is the start, before the first of the stages."""
        shown, curve = self.metrics["columns"], self.metrics["curve"]
        start = [{**point, "stage": stage} for point in curve[:1] if point["step"] == 0]
        rows = [*start, *(point for point in curve if point["stage"] == stage and point["step"])]
        return {row["step"]: flatten(row["metrics"], shown) for row in rows}

    def write_choice(self, stage: str, choice: Choice) -> None:
        """The step of a stage that the run goes on from, as far as it has come."""
        self.metrics["chosen"] = {**self.metrics.get("chosen", {}), stage: asdict(choice)}
        self._write_metrics()

    def keep_start(self, model: LanguageModel) -> None:
        """What the stages need of the weights that they find."""
        model.weights.keep_start(start_in(self.folder))

    def write_model(self, model: LanguageModel) -> None:
        """`model/`: the adapter or the full weights, the tokenizer and a model card."""
        if not ranks.is_first():
            return
        model.save(self.folder / "model")
        self._write_card = lambda: write(
            self.folder / "model" / "README.md", card(model, self.folder / "model", self.config, self.metrics)
        )
        self._write_card()

    def finish(self, tracker: Tracker, report: Callable[[Path], object], records: dict[str, Records]) -> dict[str, Any]:
        """Answers side by side, the report, the tracker's end; returns the metrics.

        Args:
            report: writes the folder's report.
            records: of all moments.
        """
        final = next((moment["name"] for moment in self.metrics["moments"] if moment.get("final")), None)
        rows = answers(records[START], records[final] if final else None)
        if not ranks.is_first():
            return self.metrics
        write(self.folder / "generations.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self._write_metrics()
        self._write_card()  # with what attacks have shown since
        report(self.folder)
        tracker.finish(self.metrics, rows)
        self._write_metrics(finished=True)  # last: nothing that is to be told can be lost after it
        note(self.folder / LOG)
        self._remove_needless()
        return self.metrics

    def _remove_needless(self) -> None:
        shutil.rmtree(start_in(self.folder), ignore_errors=True)
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def _write_metrics(self, finished: bool = False) -> None:
        self.metrics["run"] = {
            "method": self.config["method"],
            "model": self.config["model"]["name"],
            "data": self.config["data"]["name"],
            "seed": self.config["seed"],
            "minutes": round((time.monotonic() - self.started) / 60, 2),
            "peak_memory_gb": round(peak_memory() / 1e9, 2),
            "ranks": ranks.count(),
            "finished": finished,
            "versions": versions(),
        }
        self.metrics = without_nan(self.metrics)  # what is returned is what is written
        if ranks.is_first():
            write_numbers(self.folder / "metrics.json", self.metrics)


def read_metrics(path: Path) -> dict[str, Any]:
    """A run's metrics.json.

    Raises:
        UserError: it is not as it was written.
    """
    fix = f"Restore it from a copy, or remove it (rm '{path}') and start the same command again: it is made anew"
    check(path, fix)
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(metrics["run"], dict):
            return dict(metrics)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise UserError(f"{path} is damaged: it is no run's metrics", fix)


def read_all(paths: dict[str, Path]) -> Records | None:
    """evaluation -> its records; None, and a line that says so, where one cannot be read."""
    try:
        return {name: read_parquet(path) for name, path in paths.items()}
    except UserError as error:
        print(f"{error.what}; it is measured anew", flush=True)
        return None


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
