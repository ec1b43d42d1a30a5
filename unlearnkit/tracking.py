"""Where a run's numbers go besides its own folder."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """What a run tells as it goes."""

    def start(self, config: dict[str, Any], folder: Path) -> None: ...

    def log(self, row: dict[str, Any]) -> None: ...

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None: ...


class Nowhere:
    """No tracker."""

    def start(self, config: dict[str, Any], folder: Path) -> None: ...

    def log(self, row: dict[str, Any]) -> None: ...

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None: ...


class WandB:
    """Weights & Biases: offline, so that no account is needed, unless WANDB_MODE says otherwise."""

    def __init__(self, project: str = "unlearnkit", tags: list[str] | None = None):
        self.project, self.tags = project, tags

    def start(self, config: dict[str, Any], folder: Path) -> None:
        import wandb

        os.environ.setdefault("WANDB_SILENT", "true")
        path = folder / "wandb" / "id"
        name = path.read_text() if path.is_file() else uuid.uuid4().hex[:8]
        self.run = wandb.init(
            id=name,  # what goes on after an interruption is the same run
            resume="allow" if path.is_file() else None,
            project=self.project,
            tags=self.tags,
            config=config,
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            settings=wandb.Settings(console="off", x_disable_stats=True),
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        self.run.define_metric("*", step_metric="step")

    def log(self, row: dict[str, Any]) -> None:
        stage = row.get("stage", "run")
        named = {f"{stage}/{key}": value for key, value in row.items() if key not in ("stage", "step")}
        self.run.log({**named, "step": row.get("step", 0)})

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None:
        import wandb

        self.run.summary.update({"before": metrics["before"], "after": metrics["after"]})
        if answers:
            columns: list[Any] = list(answers[0])
            rows = [[row[column] for column in columns] for row in answers]
            self.run.log({"answers": wandb.Table(columns=columns, data=rows)})
        self.run.finish()
