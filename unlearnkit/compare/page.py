"""A comparison as one HTML file."""

from __future__ import annotations

from typing import Any

from unlearnkit.compare.answers import ChangedAnswer
from unlearnkit.compare.comparison import Comparison, Pair
from unlearnkit.compare.words import EXPLAINED, chance, change, number
from unlearnkit.measures.display import arrow
from unlearnkit.report.answers import clip, differing
from unlearnkit.report.page import render


def page(comparison: Comparison) -> str:
    """The HTML: configs, measures and answers of the runs, with all that it needs."""
    return render(
        "comparison.html.j2",
        sides=comparison.sides,
        settings=[setting for setting in comparison.settings if not setting.follows],
        followers=[setting for setting in comparison.settings if setting.follows],
        pairs=[_pair(pair) for pair in comparison.pairs],
        answers=[_answer(row, comparison.names) for row in comparison.answers],
        explained=EXPLAINED,
        figures=[],
        examples=[],
        methods=[],
    )


def _pair(pair: Pair) -> dict[str, Any]:
    rows = [
        {
            "group": " / ".join(line.column[:-1]),
            "measure": f"{line.column[-1]} {arrow(line.column.display)}".strip(),
            "cells": [
                (*number(line.column.display, line.first), line.first.n),
                (*number(line.column.display, line.other), line.other.n),
                (*change(line.column.display, line.difference), line.difference.n if line.difference else None),
            ],
            "p": chance(line.difference.p if line.difference else None),
            "adjusted": chance(line.adjusted),
            "verdict": line.verdict(pair.first.name, pair.other.name),
        }
        for line in pair.lines
    ]
    return {"first": pair.first.name, "other": pair.other.name, "rows": rows, "alone": pair.alone}


def _answer(row: ChangedAnswer, names: list[str]) -> dict[str, Any]:
    """The first run's answer with the words that no other has, the others' with those that it has not."""
    first, *others = (clip(record.response) for record in row.answers)
    words, marked = differing(first, others)
    whole = [(len(gone) == len(others), text) for gone, text in words]
    sides = [
        {"name": name, "words": parts, "harmful": record.harmful, "why": clip(record.why or "")}
        for name, parts, record in zip(names, [whole, *marked], row.answers, strict=True)
    ]
    return {"place": row.place, "id": row.id, "prompt": clip(row.prompt), "sides": sides}
