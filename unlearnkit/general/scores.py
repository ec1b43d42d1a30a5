"""Scores of documents -> the harness's own numbers, with stratified bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean, mean_stderr, unweighted_mean_stderr

from unlearnkit.metrics.interval import Estimate

Scores = dict[str, list[float]]  # task -> a score a document


@dataclass(frozen=True)
class Score(Estimate):
    """An estimate with the harness's standard error (None of a single document) and what it was measured by."""

    stderr: float | None = None
    task_version: Any = None
    num_fewshot: int | None = None
    lm_eval: str = ""


def of_task(scores: list[float]) -> tuple[float, float | None]:
    """The harness's mean over documents and its standard error."""
    return float(mean(scores)), float(mean_stderr(scores)) if len(scores) > 1 else None


def of_group(group: Group, key: str, scores: Scores) -> tuple[float, float | None]:
    """The harness's aggregation over the tasks of a group, and its standard error; `key` is `metric,filter`."""
    metric, _, kind = key.partition(",")
    tasks: dict[str, Any] = {}
    for task, values in scores.items():
        value, stderr = of_task(values)
        shown = "N/A" if stderr is None else stderr
        tasks[task] = {key: value, f"{metric}_stderr,{kind}": shown, "sample_len": len(values)}
    found: Any = group.aggregate(tasks)
    stderr = found[f"{metric}_stderr,{kind}"]
    return float(found[key]), None if stderr == "N/A" else float(stderr)


def of_average(parts: list[tuple[float, float | None]]) -> tuple[float, float | None]:
    """The mean of several scores, each with the same weight, and the standard error of that mean."""
    stderrs = [stderr for _, stderr in parts if stderr is not None]
    value = float(np.mean([value for value, _ in parts]))
    return value, float(unweighted_mean_stderr(stderrs)) if len(stderrs) == len(parts) else None


def interval(scores: Scores, weights: dict[str, float], seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap (2,000 resamples) of the weighted sum of the tasks' means.

    Documents are drawn within each task, since how many a task has is no accident.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros(2000)
    for task, values in scores.items():
        data = np.asarray(values, dtype=float)
        total += weights[task] * data[rng.integers(len(data), size=(2000, len(data)))].mean(1)
    low, high = np.percentile(total, [2.5, 97.5])
    return float(low), float(high)


def weights_of(group: Group | None, key: str, scores: Scores) -> dict[str, float]:
    """Task -> its share of the group's score, or of a lone task's (all of it)."""
    metric = key.partition(",")[0]
    parts = (group.aggregate_metric_list or []) if group else []
    by_size = next((part.weight_by_size for part in parts if part.metric == metric), True)
    sizes = {task: len(values) if by_size else 1 for task, values in scores.items()}
    return {task: size / sum(sizes.values()) for task, size in sizes.items()}
