"""What a run that was cut off goes on from: checkpoints of a training, and the model after each stage.

Below `checkpoints/STAGE` of the run folder: `checkpoint-N` after N steps and `done` after the stage. A marker with
the digest of every file is written last, so a half-written or damaged one is known and passed over.
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
from unlearnkit.content import digest
from unlearnkit.files import write
from unlearnkit.models.loading import LanguageModel
from unlearnkit.sums import LOG, sha256

MARK, WEIGHTS, DONE = "complete.json", "weights.safetensors", "done"
TRIALS = "trials"  # of learning rates, see `unlearnkit.runs.tuning`


def mark(folder: Path, state: dict[str, Any]) -> None:
    """Call the folder complete; `state` is what its reader needs to know."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    content = {**state, "files": {name: sha256(path) for name, path in files.items() if name != MARK}}
    write(folder / MARK, json.dumps({**content, "digest": digest(content)}))


def state_of(folder: Path) -> dict[str, Any] | None:
    """What `mark` was told, or None if the folder is not as it was then."""
    state = marked(folder)
    try:
        whole = state is not None and all(sha256(folder / name) == sha for name, sha in state["files"].items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return state if whole else None


def marked(folder: Path) -> dict[str, Any] | None:
    """The same where the mark itself is as it was; the other files, which may be large, are not read."""
    try:
        state: dict[str, Any] = json.loads((folder / MARK).read_text(encoding="utf-8"))
        return state if state.pop("digest") == digest(state) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def forget_stages(folder: Path) -> None:
    """Take away what a run's stages have left, but for the teaching of its target and the trials of rates."""
    for path in (folder / "checkpoints").glob("*"):
        if path.name not in ("target", TRIALS):
            shutil.rmtree(path, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """The training checkpoints in a stage's folder, oldest first, whole or not."""
    paths = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(paths, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint in a stage's folder; those that are not whole are removed."""
    for path in reversed(checkpoints(folder)):
        if state_of(path) is not None:
            return path
        print(f"{path} is not as it was written; it is passed over", flush=True)
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
    mark(done, {"weights": what, "cost": cost, "log": log_of(folder)})
    for path in folder.iterdir():
        if path != done:
            shutil.rmtree(path, ignore_errors=True)


def load_stage(model: LanguageModel, folder: Path) -> dict[str, Any]:
    """Put what `save_stage` kept into the model the stages start from, and the run's log back; returns the cost."""
    state = state_of(folder / DONE)
    assert state is not None
    _restore_log(folder, state)
    model.weights.restore(state["weights"], load_file(folder / DONE / WEIGHTS))
    return state["cost"]


def last_done(folder: Path, stages: list[str]) -> str | None:
    """The last of a run's stages whose result is kept; one that is not whole is told of."""
    for name in reversed(stages):
        if state_of(folder / name / DONE) is not None:
            return name
        if (folder / name / DONE).exists():
            print(f"{folder / name / DONE} is not as it was written; the stage is done again", flush=True)
    return None


def rewind_log(folder: Path, stage: str, step: int) -> None:
    """Make a run's log what it was at a step of a stage: that of its checkpoint, or what came before the stage.

    Of a checkpoint without a log, which earlier versions wrote, the log's own rows up to the step.
    """
    checkpoint = folder / "checkpoints" / stage / f"checkpoint-{step}"
    if step and _restore_log(checkpoint.parent, marked(checkpoint) or {}):
        return
    path = folder / LOG
    if not ranks.is_first() or not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    rows = [row for row in map(_row, lines) if row is not None]
    remaining = [row for row in rows if row["stage"] != stage or row["step"] <= step]
    write(path, "".join(json.dumps(row) + "\n" for row in remaining))


def log_of(folder: Path) -> str:
    """The log of the run that a stage's folder belongs to, as it is now."""
    path = folder.parents[1] / LOG
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _restore_log(folder: Path, state: Mapping[str, Any]) -> bool:
    """Write what a mark in a stage's folder says of the log; whether it says anything."""
    if "log" in state and ranks.is_first() and log_of(folder) != state["log"]:
        write(folder.parents[1] / LOG, state["log"])
    return "log" in state


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        return row if isinstance(row["stage"], str) and isinstance(row["step"], int) else None
    except (ValueError, LookupError, TypeError):
        return None


def _save(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, path)
