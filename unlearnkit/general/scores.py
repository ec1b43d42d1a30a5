"""Scores of documents -> the harness's own numbers, with intervals over documents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean, mean_stderr, unweighted_mean_stderr
from scipy.stats import t

from unlearnkit.measures.interval import Estimate, wilson

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
    numbers: Any = group.aggregate(tasks)
    stderr = numbers[f"{metric}_stderr,{kind}"]
    return float(numbers[key]), None if stderr == "N/A" else float(stderr)


def of_average(parts: list[tuple[float, float | None]]) -> tuple[float, float | None]:
    """The mean of several scores, each with the same weight, and the standard error of that mean."""
    stderrs = [stderr for _, stderr in parts if stderr is not None]
    value = float(np.mean([value for value, _ in parts]))
    return value, float(unweighted_mean_stderr(stderrs)) if len(stderrs) == len(parts) else None


def interval(scores: Scores, weights: dict[str, float]) -> tuple[float, float]:
    """95 % interval of the weighted sum of the tasks' means, which vary apart from one another.

    Scores in 0 to 1: Wilson's, on the number of documents that would vary as much if they were of one task; no more
    than there are. Others: Student's t; of single documents no bound is known.
    """
    data = {task: np.asarray(values, dtype=float) for task, values in scores.items()}
    value = float(sum(weights[task] * values.mean() for task, values in data.items()))
    few = 1 / sum(weights[task] ** 2 / len(values) for task, values in data.items())
    single = all(len(values) < 2 for values in data.values())
    if all(values.min() >= 0 and values.max() <= 1 for values in data.values()):
        middle = (few * value + 1) / (few + 2)
        spread = _variance(data, weights, middle * (1 - middle))
        n = few if len(data) == 1 else min(few, middle * (1 - middle) / spread)
        return wilson(min(max(value, 0.0), 1.0), n)
    if single:
        return math.nan, math.nan
    half = t.ppf(0.975, max(1, round(few) - 1)) * math.sqrt(_variance(data, weights, None))
    return value - half, value + half


def _variance(data: dict[str, np.ndarray], weights: dict[str, float], like: float | None) -> float:
    """Of the weighted sum; a task's own variance counts `like` as one document more, for a task may have few."""
    total = 0.0
    pooled = float(np.concatenate(list(data.values())).var(ddof=1)) if like is None else like
    for task, values in data.items():
        own = (((values - values.mean()) ** 2).sum() + pooled) / len(values)
        total += weights[task] ** 2 * own / len(values)
    return total


def weights_of(group: Group | None, key: str, scores: Scores) -> dict[str, float]:
    """Task -> its share of the group's score, or of a lone task's (all of it)."""
    metric = key.partition(",")[0]
    parts = (group.aggregate_metric_list or []) if group else []
    by_size = next((part.weight_by_size for part in parts if part.metric == metric), True)
    sizes = {task: len(values) if by_size else 1 for task, values in scores.items()}
    return {task: size / sum(sizes.values()) for task, size in sizes.items()}
