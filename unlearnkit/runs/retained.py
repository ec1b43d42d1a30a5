"""Whether a run kept what it was to keep, and the command that would keep more."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnkit.identity import config_in
from unlearnkit.measures.columns import Column, before_and_after, flatten
from unlearnkit.measures.interval import Estimate
from unlearnkit.stages.selection import share

HALF, ENOUGH = 0.5, 0.8
Numbers = Mapping[Column, Estimate]
OVERRULED = ("train.select", "train.arguments.learning_rate")


def warning(folder: Path, words: Sequence[str] = ()) -> list[str]:
    """The last lines of a run whose retain side fell below half of the start's; none where it did not.

    Args:
        words: the command line that the run was started with, without what says where it is written.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    before, after = before_and_after(metrics)
    shares = {column: share(column, after[column], now) for column, now in before.items() if _counts(column, after)}
    lost = {column: kept for column, kept in shares.items() if kept < HALF}
    if not lost:
        return []
    worst = min(lost, key=lambda column: lost[column])
    lines = [f"The retain side fell below half of the start's: {'/'.join(worst)} kept {lost[worst]:.0%} of it."]
    if more := better(metrics, config_in(folder), worst):
        again = [word for word in words if word.lstrip("+").partition("=")[0] not in OVERRULED]
        lines += ["This would keep more:", f"  {shlex.join(['python', '-m', 'unlearnkit', *again, more])}"]
    return lines


def _counts(column: Column, after: Numbers) -> bool:
    """A number of the retain side that can be said to be a share of the start's."""
    shown = column.display
    measured = shown.better == "higher" or (shown.better == "lower" and shown.scale.geometric)
    return shown.role == "retain" and measured and column in after


def better(metrics: Mapping[str, Any], config: Mapping[str, Any], lost: Column) -> str | None:
    """The setting that would keep more: a measured step that kept enough, or else a lower rate."""
    stages = [stage for stage in config["stages"].values() if str(stage.get("_target_")).endswith("Finetune")]
    if not stages:
        return None
    points = [flatten(point["metrics"], metrics["columns"]) for point in metrics["curve"]]
    if len(points) > 1 and config["curve_split"] != "test" and not any(stage.get("select") for stage in stages):
        found = {
            role: [c for c in points[0] if c.display.role == role and c.display.better] for role in ("forget", "retain")
        }
        held = [c for c in found["retain"] if c == lost] or [c for c in found["retain"] if _counts(c, points[0])]
        enough = held and any(
            share(held[0], p[held[0]], points[0][held[0]]) >= ENOUGH for p in points[1:] if held[0] in p
        )
        if enough and found["forget"]:
            best, kept = _named(found["forget"]), _named(held, found["retain"])
            return f"train.select={{{best},while:{{{kept},at_least:{ENOUGH}}}}}"
    return f"train.arguments.learning_rate={float(config['train']['arguments']['learning_rate']) / 4:g}"


def _named(columns: Sequence[Column], beside: Sequence[Column] = ()) -> str:
    """The first of some columns as `train.select` asks for it; its set too, where its role has that measure twice."""
    first = columns[0]
    several = sum(column[-1] == first[-1] for column in beside or columns) > 1
    return f"measure:{first[-1]},role:{first.display.role}" + (f",set:{first[-2]}" if several else "")
