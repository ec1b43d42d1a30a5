"""What the text and the page say alike of a comparison's numbers."""

from __future__ import annotations

import math

from unlearnkit.compare.paired import Difference
from unlearnkit.measures.display import Display, show_interval, show_value
from unlearnkit.measures.interval import Estimate

EXPLAINED = (
    "Brackets: 95 % intervals. Difference: the other run less the first (× their ratio, of perplexities), paired over"
    " the n prompts that both answered, its interval by a bootstrap over prompts. p: McNemar's exact test, or random"
    " signs; corrected after Holm over the measures of the two runs. A number without a difference is no mean over"
    " prompts, or the two runs measure it otherwise."
)


def number(display: Display, estimate: Estimate) -> tuple[str, str]:
    """A value and its interval."""
    return show_value(display, estimate.value), show_interval(display, estimate.low, estimate.high)


def change(display: Display, difference: Difference | None) -> tuple[str, str]:
    """`+5.0%` and `[-1.0%, +11.0%]`, or `×1.25` and `[×1.10, ×1.42]`; `-` of none."""
    if difference is None:
        return "-", ""
    value, low, high = (
        _signed(display, end, difference.ratio) for end in (difference.value, difference.low, difference.high)
    )
    return value, "" if math.isnan(difference.low) else f"[{low}, {high}]"


def _signed(display: Display, end: float, ratio: bool) -> str:
    if ratio:
        return f"×{end:.4g}" if abs(end - 1) >= 0.01 else f"×{end:.7g}"  # what is near 1 differs past its fourth digit
    return f"{'+' if end > 0 else ''}{show_value(display, end)}"


def chance(p: float | None) -> str:
    """`0.013`, `<0.001`, `1`; `-` of none."""
    return "-" if p is None else "<0.001" if p < 1e-3 else f"{p:.2g}"
