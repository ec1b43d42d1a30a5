"""The sentences that all formats share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unlearnkit.tables.agreement import Correlation, mean_correlation
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.outcomes import Outcome

UNDECIDED = "undecided"


def sourced(spec: Mapping[str, Any]) -> str:
    """`Liu et al. 2024, table 1, page 7.`"""
    source = spec.get("source") or {}
    parts = [str(source[key]) for key in ("paper", "place") if key in source]
    return ", ".join(parts + ([f"page {source['page']}"] if "page" in source else [])) + "."


def explained(sided: bool) -> str:
    """How to read a table."""
    lines = "Each method has two lines, ours and the paper's numbers. " if sided else ""
    return (
        f"{lines}Bold: best, underlined: next best, of ours with all that no test tells from it (paired over prompts"
        " where these are shared, p < 0.05, Holm's correction over the column; none where nothing differs);"
        " brackets: 95 % interval; arrows: which way is better."
    )


def verdict(holds: bool | None, clear: bool = True) -> str:
    """In a word: `undecided` where the intervals leave it open, `not told` where numbers are missing."""
    return {True: "holds", False: "does not hold", None: "not told"}[holds] if holds is None or clear else UNDECIDED


def outcome(claim: Outcome) -> str:
    """The verdict on our numbers; where it is undecided, how many prompts would tell."""
    word = verdict(claim.ours, claim.clear)
    if word != UNDECIDED:
        return word
    if claim.needed == math.inf:
        return f"{word} (no number of prompts would tell at these values)"
    return f"{word} (about {claim.needed:.2g} times the prompts would tell at these values)"


def decided(claim: Outcome) -> bool | None:
    """Whether a claim holds in our numbers; None where that is undecided or not told."""
    return claim.ours if claim.clear else None


def block_of(claim: Outcome, comparison: Comparison) -> str:
    """Of which model, where the paper says it of another than the one beside the table."""
    return f" for {claim.block}" if claim.block and claim.block != comparison.block else ""


def in_paper(claim: Outcome) -> tuple[str, str]:
    """The verdict on the paper's numbers and these numbers; where it prints none, that it says so in words alone."""
    return (verdict(claim.paper), claim.paper_values) if claim.block else ("said in words", "no number is printed")


def rho(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:+.2f}"


def agreement_rows(comparison: Comparison) -> list[list[str]]:
    """A head and a row a column: Spearman's rho with each block, and the mean over the columns last."""
    blocks = comparison.correlations
    head = ["rank correlation of the methods (Spearman)", *(f"with {block}" for block in blocks)]
    keys = dict.fromkeys(key for by_column in blocks.values() for key in by_column)
    titles = {heading.key: heading.title for heading in comparison.headings}
    rows = [[titles[key], *(_of(own[key]) if key in own else "-" for own in blocks.values())] for key in keys]
    return [head, *rows, ["mean", *(rho(mean_correlation(by_column)) for by_column in blocks.values())]]


def _of(correlation: Correlation) -> str:
    chance, count = "" if correlation.p is None else f", p = {correlation.p:.2g}", correlation.methods
    return f"{rho(correlation.rho)} ({count} {'method' if count == 1 else 'methods'}{chance})"


def agreement_line(comparisons: Sequence[Comparison]) -> str:
    """The whole in one line: the mean rank correlation and how many of the claims hold in our numbers."""
    parts = []
    for comparison in comparisons:
        found = {block: mean_correlation(own) for block, own in comparison.correlations.items()}
        means = [f"{rho(mean)} with {block}" for block, mean in found.items() if not math.isnan(mean)]
        words = {"holds": "hold", "does not hold": "do not hold"}
        words |= {word: f"are {word}" for word in (UNDECIDED, "not told")}
        verdicts = [verdict(claim.ours, claim.clear) for claim in comparison.claims]
        counts = {phrase: verdicts.count(word) for word, phrase in words.items()}
        claims = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        phrase = "; ".join(
            ([f"mean rank correlation {', '.join(means)}"] if means else [])
            + ([f"of {len(comparison.claims)} claims {claims}"] if comparison.claims else [])
        )
        parts.append(f"{comparison.table.model} on {comparison.table.data}" + (f": {phrase}" if phrase else ""))
    return ". ".join(dict.fromkeys(parts)) + "."
