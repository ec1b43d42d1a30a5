"""A comparison of runs as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearnkit.compare.answers import ChangedAnswer, changed_answers
from unlearnkit.compare.configs import Setting, settings
from unlearnkit.compare.paired import Difference, difference
from unlearnkit.compare.sides import Side, check_rows, read_sides
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import only_in_figures
from unlearnkit.measures.interval import Estimate
from unlearnkit.tables.significance import LEVEL, holm


@dataclass(frozen=True)
class Line:
    """One measure of the first run and of another.

    Args:
        difference: None where the number is no mean over prompts.
        adjusted: its p-value with Holm's correction over the pair's measures.
    """

    column: Column
    first: Estimate
    other: Estimate
    difference: Difference | None
    adjusted: float | None

    @property
    def title(self) -> str:
        return "/".join(self.column)

    def verdict(self, first: str, other: str) -> str:
        """`B better`, `differs` where no direction is known, or nothing where it may be chance."""
        if self.difference is None or self.adjusted is None or self.adjusted >= LEVEL:
            return ""
        better = self.column.display.better
        grew = self.difference.value > (1 if self.difference.ratio else 0)
        return f"{other if grew == (better == 'higher') else first} better" if better else "differs"


@dataclass(frozen=True)
class Pair:
    """The first run and another: a line a measure that both have, and the measures that only one has."""

    first: Side
    other: Side
    lines: list[Line]
    alone: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Of two or more runs, the first with each of the others."""

    sides: list[Side]
    settings: list[Setting]
    pairs: list[Pair]
    answers: list[ChangedAnswer]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "runs": [
                {"name": s.name, "folder": str(s.run.folder), "method": s.run.method, "model": s.run.model}
                | {"data": s.run.data, "seed": s.run.seed, "moment": "after" if s.run.after else "before"}
                for s in self.sides
            ],
            "config": [
                {"key": setting.key, "values": dict(zip(self.names, setting.written, strict=True))}
                | {"follows": setting.follows}
                for setting in self.settings
            ],
            "pairs": [
                {"first": pair.first.name, "other": pair.other.name, "only_in_one": pair.alone}
                | {"measures": [_plain(line, pair) for line in pair.lines]}
                for pair in self.pairs
            ],
            "answers": [
                {"place": row.place, "id": row.id, "prompt": row.prompt, "change": round(row.change, 4)}
                | {"answers": {n: _answer(r) for n, r in zip(self.names, row.answers, strict=True)}}
                for row in self.answers
            ],
        }

    @property
    def names(self) -> list[str]:
        return [side.name for side in self.sides]


def compare(folders: Sequence[Path], answers: int = 10) -> Comparison:
    """Read and compare runs.

    Args:
        answers: how many of those that changed most are kept.

    Raises:
        UserError: fewer than two runs, no run's folder, an unfinished run, or runs on different test rows.
    """
    sides = read_sides(folders)
    for other in sides[1:]:
        check_rows(sides[0], other)
    pairs = [pair_of(sides[0], other) for other in sides[1:]]
    return Comparison(sides, settings(sides), pairs, changed_answers(sides, answers))


def pair_of(first: Side, other: Side) -> Pair:
    """Every measure of both, with the corrected test of each difference."""
    shown = {c: None for side in (first, other) for c in side.numbers if not only_in_figures(c[-1])}
    both = [column for column in shown if column in first.numbers and column in other.numbers]
    differences = [difference(first, other, column, len(both)) for column in both]
    adjusted = iter(holm([each.p for each in differences if each is not None]))
    lines = [
        Line(column, first.numbers[column], other.numbers[column], each, next(adjusted) if each else None)
        for column, each in zip(both, differences, strict=True)
    ]
    alone = [
        f"{'/'.join(column)} (only in {(first if column in first.numbers else other).name})"
        for column in shown
        if column not in both
    ]
    return Pair(first, other, lines, alone)


def _plain(line: Line, pair: Pair) -> dict[str, Any]:
    *attack, evaluation, name, measure = line.column if len(line.column) > 2 else ("", *line.column)
    place = {"attack": attack[0] if attack else None, "evaluation": evaluation, "set": name, "measure": measure}
    own = line.difference
    change = own and {"value": own.value, "low": own.low, "high": own.high, "n": own.n, "ratio": own.ratio}
    numbers = {pair.first.name: _estimate(line.first), pair.other.name: _estimate(line.other)}
    test = {"p": own.p if own else None, "p_holm": line.adjusted, "better": line.column.display.better}
    return {**place, **numbers, "difference": change, **test, "verdict": line.verdict(pair.first.name, pair.other.name)}


def _estimate(estimate: Estimate) -> dict[str, float | int]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _answer(record: Any) -> dict[str, Any]:
    return {"response": record.response, "harmful": record.harmful, "kind": record.kind, "why": record.why}
