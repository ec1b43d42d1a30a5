"""What a run that was cut off goes on from: checkpoints of a training, and the model after each stage.

Below `checkpoints/STAGE` of the run folder: `checkpoint-N` after N steps and `done` after the stage. A marker with
the size of every file is written last, so a half-written one is known and passed over.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from unlearnkit import ranks
from unlearnkit.files import write
from unlearnkit.models.loading import LanguageModel

MARK, WEIGHTS, DONE = "complete.json", "weights.safetensors", "done"


def mark(folder: Path, told: dict[str, Any]) -> None:
    """Call the folder complete; `told` is what its reader needs to know."""
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    write(folder / MARK, json.dumps({**told, "files": files}))


def told(folder: Path) -> dict[str, Any] | None:
    """What `mark` was told, or None if the folder is not whole."""
    try:
        kept = json.loads((folder / MARK).read_text())
        whole = all((folder / name).stat().st_size == size for name, size in kept["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return kept if whole else None


def checkpoints(folder: Path) -> list[Path]:
    """The training checkpoints in a stage's folder, oldest first, whole or not."""
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint in a stage's folder; those that are not whole are removed."""
    for path in reversed(checkpoints(folder)):
        if told(path) is not None:
            return path
        shutil.rmtree(path, ignore_errors=True)
    return None


def prune(folder: Path, limit: int) -> None:
    """Keep the `limit` newest checkpoints."""
    for path in checkpoints(folder)[: -max(limit, 1)]:
        shutil.rmtree(path, ignore_errors=True)


def save_trained(model: torch.nn.Module, folder: Path) -> None:
    """The weights that are being trained."""
    folder.mkdir(parents=True, exist_ok=True)
    _save({name: weight for name, weight in model.named_parameters() if weight.requires_grad}, folder / WEIGHTS)


@torch.no_grad()
def load_trained(model: torch.nn.Module, folder: Path) -> None:
    """The inverse of `save_trained`."""
    weights = dict(model.named_parameters())
    for name, saved in load_file(folder / WEIGHTS).items():
        weights[name].data.copy_(saved)


def save_stage(model: LanguageModel, folder: Path, cost: dict[str, Any]) -> None:
    """All that the stages have made of the model so far, in `folder`/done; what lies beside it is then needless."""
    done = folder / DONE
    shutil.rmtree(done, ignore_errors=True)
    done.mkdir(parents=True)
    what, tensors = model.weights.keep()
    _save(tensors, done / WEIGHTS)
    mark(done, {"weights": what, "cost": cost})
    for path in folder.iterdir():
        if path != done:
            shutil.rmtree(path, ignore_errors=True)


def load_stage(model: LanguageModel, folder: Path) -> dict[str, Any]:
    """Put what `save_stage` kept into the model the stages start from; returns the cost."""
    kept = told(folder / DONE)
    assert kept is not None
    model.weights.restore(kept["weights"], load_file(folder / DONE / WEIGHTS))
    return kept["cost"]


def last_done(folder: Path, stages: list[str]) -> str | None:
    """The last of a run's stages whose result is kept."""
    return next((name for name in reversed(stages) if told(folder / name / DONE) is not None), None)


def rewind_log(folder: Path, stage: str, step: int) -> None:
    """Take out of a run's log what came of a stage after a step, and the torn last row of a killed run."""
    path = folder / "log.jsonl"
    if not ranks.is_first() or not path.is_file():
        return
    rows = [row for row in map(_row, path.read_text().splitlines()) if row is not None]
    kept = [row for row in rows if row["stage"] != stage or row["step"] <= step]
    write(path, "".join(json.dumps(row) + "\n" for row in kept))


def _row(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _save(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, path)
