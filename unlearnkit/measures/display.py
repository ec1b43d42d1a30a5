"""How a metric's number is shown and which way is better: the one place for the tables and the report."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from unlearnkit.data.roles import Role
from unlearnkit.measures.seeds import Scale

LARGEST = 1e10  # gradient ascent diverges by nature; digits past this say nothing


Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Display:
    """How the numbers of one measure on one side are shown."""

    better: Better | None = None  # None: not known, so nothing is marked
    rate: bool = False  # a fraction of 1, shown in percent
    decimals: int = 3  # below 1,000; of the percentage where it is a rate
    scale: Scale = field(default=Scale())  # on which seeds are averaged
    role: Role | None = None  # of the set


SHARE, PERPLEXITY = Scale(0.0, 1.0), Scale(0.0, geometric=True)


def accuracy(role: Role | None = None) -> Display:
    """Of a share of right answers: fewer are better where the knowledge is to be forgotten."""
    return Display("lower" if role == "forget" else "higher", rate=True, decimals=1, scale=SHARE, role=role)


USUAL = {  # of what no measure here says: the harness's, a stage's cost
    **dict.fromkeys(("acc", "acc_norm"), accuracy()),
    **dict.fromkeys(("seconds_a_step", "peak_memory_gb"), Display("lower", decimals=2, scale=Scale(0.0))),
}


def usual(measure: str) -> Display:
    """How a number is shown of which nobody says more than its name."""
    if measure == "peak" or only_in_figures(measure):  # KRS: what is good depends on the setting
        return Display(scale=Scale(high=1.0))
    if measure.endswith("_rate"):
        return Display(rate=True, decimals=1, scale=SHARE)
    return USUAL.get(measure) or Display(scale=PERPLEXITY if measure.endswith("perplexity") else Scale())


def written(display: Display) -> dict[str, Any]:
    """As metrics.json has it."""
    ends = [end if math.isfinite(end) else None for end in (display.scale.low, display.scale.high)]
    return {**asdict(display), "scale": {"low": ends[0], "high": ends[1], "geometric": display.scale.geometric}}


def display_from(row: Mapping[str, Any]) -> Display:
    """The inverse of `written`."""
    low, high = row["scale"]["low"], row["scale"]["high"]
    scale = Scale(-math.inf if low is None else low, math.inf if high is None else high, row["scale"]["geometric"])
    return Display(**{**row, "scale": scale})


def only_in_figures(metric: str) -> bool:
    """Whether a metric is one point of a line that figures draw, such as KRS at one layer: tables leave it out."""
    return re.fullmatch(r"layer_\d+", metric) is not None


def arrow(display: Display) -> str:
    """`↓` where lower is better, `↑` where higher is, or an empty string."""
    return {"lower": "↓", "higher": "↑", None: ""}[display.better]


def show_value(display: Display, value: float | None) -> str:
    """`55.0%`, `18.50`, `1.2e+05`, `>1e10`, `nan`, or `-` for None."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "nan"
    value, unit = (value * 100, "%") if display.rate else (value, "")
    if abs(value) > LARGEST:
        return ">1e10" if value > 0 else "<-1e10"
    text = f"{value:.{display.decimals}f}"
    if abs(float(text)) >= 1e3:
        return f"{value:.1e}{unit}"
    if float(text) == 0:
        return f"{value:.1e}" if value != 0 and not display.rate else text.removeprefix("-") + unit
    return text + unit


def show_interval(display: Display, low: float | None, high: float | None) -> str:
    """`[40.0%, 70.0%]`, or an empty string where a bound is missing or NaN."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"[{show_value(display, low)}, {show_value(display, high)}]"


def rank(
    display: Display, values: Sequence[float | None], show: Callable[[Display, float | None], object] = show_value
) -> list[int | None]:
    """1 for the best value, 2 for the runner-up and so on; values shown alike (by `show`) share a rank.

    None for a missing value, for NaN, and for all where the direction is not known.
    """
    better = display.better
    if better is None:
        return [None] * len(values)
    known = sorted((v for v in values if v is not None and not math.isnan(v)), reverse=better == "higher")
    shown = list(dict.fromkeys(show(display, value) for value in known))
    places = {text: place for place, text in enumerate(shown, start=1)}
    return [places.get(show(display, value)) for value in values]
