"""How a metric's number is shown and which way is better: the one place for the tables and the report."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from unlearnkit.measures.seeds import Scale

LARGEST = 1e10  # gradient ascent diverges by nature; digits past this say nothing


@dataclass(frozen=True)
class Display:
    """How one metric is shown."""

    better: Literal["lower", "higher"] | None = None  # None: not known, so nothing is marked
    rate: bool = False  # a fraction of 1, shown in percent
    decimals: int = 3  # below 1,000; of the percentage where it is a rate
    scale: Scale = field(default=Scale())  # on which seeds are averaged


SHARE, PERPLEXITY, PERCENT = Scale(0.0, 1.0), Scale(0.0, geometric=True), Scale(0.0, 100.0)
RECOVERY = Scale(high=1.0)  # KRS
METRICS = {
    "harmful_rate": Display("lower", rate=True, decimals=1, scale=SHARE),
    "perplexity": Display("lower", decimals=2, scale=PERPLEXITY),
    "answer_perplexity": Display("lower", decimals=2, scale=PERPLEXITY),
    "similarity": Display("higher", scale=Scale(-1.0, 1.0)),
    "unlearn_success": Display("higher", rate=True, decimals=1, scale=SHARE),
    "unlearn_success_whole": Display("higher", rate=True, decimals=1, scale=SHARE),
    "unlearn_perplexity": Display("higher", decimals=2, scale=PERPLEXITY),
    "unlearn_rouge_l": Display("lower", rate=True, decimals=1, scale=SHARE),
    "retention_success": Display("higher", rate=True, decimals=1, scale=SHARE),
    "retention_success_whole": Display("higher", rate=True, decimals=1, scale=SHARE),
    "retention_perplexity": Display("lower", decimals=2, scale=PERPLEXITY),
    "retention_rouge_l": Display("higher", rate=True, decimals=1, scale=SHARE),
    "average_success": Display("higher", rate=True, decimals=1, scale=SHARE),
    "acc": Display("higher", rate=True, decimals=1, scale=SHARE),
    "acc_norm": Display("higher", rate=True, decimals=1, scale=SHARE),
    "peak": Display(scale=RECOVERY),  # KRS, highest over the layers: what is good depends on the setting
    "forgotten_rate": Display("higher", rate=True, decimals=1, scale=SHARE),
    "known_rate": Display("higher", rate=True, decimals=1, scale=SHARE),
    "target_bleu": Display("lower", decimals=1, scale=PERCENT),
    "unrelated_bleu": Display("higher", decimals=1, scale=PERCENT),
    "seconds_a_step": Display("lower", decimals=2, scale=Scale(0.0)),
    "peak_memory_gb": Display("lower", decimals=2, scale=Scale(0.0)),
    "bleurt": Display("higher"),
}


def display_of(metric: str) -> Display:
    """The entry of `METRICS`; for a metric not listed, no direction; percent where it ends in `_rate`."""
    if metric in METRICS:
        return METRICS[metric]
    if metric.endswith("_rate"):
        return Display(rate=True, decimals=1, scale=SHARE)
    return Display(
        scale=PERPLEXITY if metric.endswith("perplexity") else RECOVERY if only_in_figures(metric) else Scale()
    )


def only_in_figures(metric: str) -> bool:
    """Whether a metric is one point of a line that figures draw, such as KRS at one layer: tables leave it out."""
    return re.fullmatch(r"layer_\d+", metric) is not None


def arrow(metric: str) -> str:
    """`↓` where lower is better, `↑` where higher is, or an empty string."""
    return {"lower": "↓", "higher": "↑", None: ""}[display_of(metric).better]


def show_value(metric: str, value: float | None) -> str:
    """`55.0%`, `18.50`, `1.2e+05`, `>1e10`, `nan`, or `-` for None."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "nan"
    display = display_of(metric)
    value, unit = (value * 100, "%") if display.rate else (value, "")
    if abs(value) > LARGEST:
        return ">1e10" if value > 0 else "<-1e10"
    text = f"{value:.{display.decimals}f}"
    if abs(float(text)) >= 1e3:
        return f"{value:.1e}{unit}"
    if float(text) == 0:
        return f"{value:.1e}" if value != 0 and not display.rate else text.removeprefix("-") + unit
    return text + unit


def show_interval(metric: str, low: float | None, high: float | None) -> str:
    """`[40.0%, 70.0%]`, or an empty string where a bound is missing or NaN."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"[{show_value(metric, low)}, {show_value(metric, high)}]"


def rank(
    metric: str, values: Sequence[float | None], show: Callable[[str, float | None], object] = show_value
) -> list[int | None]:
    """1 for the best value, 2 for the runner-up and so on; values shown alike (by `show`) share a rank.

    None for a missing value, for NaN, and for all where the metric's direction is not known.
    """
    better = display_of(metric).better
    if better is None:
        return [None] * len(values)
    known = sorted((v for v in values if v is not None and not math.isnan(v)), reverse=better == "higher")
    shown = list(dict.fromkeys(show(metric, value) for value in known))
    places = {text: place for place, text in enumerate(shown, start=1)}
    return [places.get(show(metric, value)) for value in values]
