"""Whether a run kept what it was to keep, and the command that would keep more."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnkit.data.splits import splits_of
from unlearnkit.identity import config_in
from unlearnkit.measures.columns import Column, before_and_after, flatten, share_of_start
from unlearnkit.measures.interval import Estimate
from unlearnkit.stages.selection import Selection

HALF, ENOUGH = 0.5, 0.8
# Of the data's own answers. What compares with the start's way of speaking (perplexity under it, similarity to its
# responses) falls as well where a model learns to answer more shortly.
PREFERRED = ("success", "answer_perplexity", "known_answers")
Numbers = Mapping[Column, Estimate]
OVERRULED = ("train.select", "train.arguments.learning_rate")


def warning(folder: Path, words: Sequence[str] = ()) -> list[str]:
    """The last lines of a run whose retain side fell below half of the start's; none where it did not.

    Args:
        words: the command line that the run was started with, without what says where it is written.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    before, after = before_and_after(metrics)
    counted = _judging([column for column in before if _counts(column, after)])
    shares = {column: share_of_start(column, after[column], before[column]) for column in counted}
    lost = {column: kept for column, kept in shares.items() if kept < HALF and _is_apart(before[column], after[column])}
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
    return column.display.role == "retain" and _is_share(column) and column in after


def _judging(columns: Sequence[Column]) -> list[Column]:
    """Of each set the columns of the data's own answers, and all of a set that has none."""
    judged = {column[:-1] for column in columns if column[-1] in PREFERRED}
    return [column for column in columns if column[-1] in PREFERRED or column[:-1] not in judged]


def _is_apart(before: Estimate, after: Estimate) -> bool:
    """Their intervals do not meet: two right answers of sixty may be lost by chance. An unknown end decides nothing."""
    return not (after.high >= before.low and before.high >= after.low)


def _is_share(column: Column) -> bool:
    """Numbers of which one can be a share of another."""
    shown = column.display
    return shown.better == "higher" or (shown.better == "lower" and shown.scale.geometric)


def better(metrics: Mapping[str, Any], config: Mapping[str, Any], lost: Column) -> str | None:
    """The setting that would keep more: a measured step that kept enough, or else a lower rate."""
    stages = [stage for stage in config["stages"].values() if str(stage.get("_target_")).endswith("Finetune")]
    if not stages:
        return None
    points = [flatten(point["metrics"], metrics["columns"]) for point in metrics["curve"]]
    if (
        len(points) > 1
        and splits_of(config["curve_split"])[0] != "test"
        and not any(stage.get("select") for stage in stages)
    ):
        start, select = points[0], rule(list(points[0]), lost)
        if select is not None:
            column = Selection(select).columns(start)[1]
            if any(
                share_of_start(column, point[column], start[column]) >= ENOUGH
                for point in points[1:]
                if column in point
            ):
                return f"train.select={_written(select)}"
    return f"train.arguments.learning_rate={float(config['train']['arguments']['learning_rate']) / 4:g}"


def rule(columns: Sequence[Column], lost: Column | None = None) -> dict[str, Any] | None:
    """What `train.select` may ask of such columns: the best forget side while the retain side keeps `ENOUGH`.

    Args:
        lost: of the retain side, what is to be kept; without it success, else the perplexity of the right answers.

    Returns:
        None where one of the two sides has no measure.
    """
    forget, retain = (
        [c for c in columns if c.display.role == role and c.display.better] for role in ("forget", "retain")
    )
    constraints = [c for c in retain if c == lost] or sorted(filter(_is_share, retain), key=_preferred)
    if not forget or not constraints:
        return None
    return {**_criterion(forget[0], forget), "while": {**_criterion(constraints[0], retain), "at_least": ENOUGH}}


def _preferred(column: Column) -> int:
    return PREFERRED.index(column[-1]) if column[-1] in PREFERRED else len(PREFERRED)


def _criterion(column: Column, beside: Sequence[Column]) -> dict[str, Any]:
    """A column as `train.select` asks for it; its set too, where its role has that measure twice."""
    several = sum(other[-1] == column[-1] for other in beside) > 1
    criterion = {"measure": column[-1], "role": column.display.role}
    return {**criterion, "set": column[-2]} if several else criterion


def _written(settings: Any) -> str:
    """As Hydra reads it on a command line."""
    if isinstance(settings, Mapping):
        return "{" + ",".join(f"{key}:{_written(value)}" for key, value in settings.items()) + "}"
    return str(settings)
