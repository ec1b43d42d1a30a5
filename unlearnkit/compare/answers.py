"""The answers that differ most between the first run and the others."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from unlearnkit.compare.sides import Side
from unlearnkit.records.record import Record

MOST_WORDS = 300  # of an answer, of which the likeness is taken


@dataclass(frozen=True)
class ChangedAnswer:
    """One test row with the runs' answers to it, in the runs' order.

    Args:
        place: `safety/unseen`.
        change: 0 to 1, the share of words that differ; 1 more where the judge's verdict does.
    """

    place: str
    id: str
    prompt: str
    answers: tuple[Record, ...]
    change: float


def changed_answers(sides: Sequence[Side], most: int) -> list[ChangedAnswer]:
    """At most so many, the most changed first; answers that are alike are none."""
    first, *others = sides
    changes = []
    for part in [part for part in first.parts if all(part in side.parts for side in others)] if most else ():
        for name, rows in first.rows(part).items():
            theirs = [side.rows(part).get(name, {}) for side in others]
            for key, samples in rows.items():
                for number, record in enumerate(samples):
                    answers = [record, *(r for o in theirs for r in o.get(key, ())[number : number + 1])]
                    if len(answers) < len(sides) or not any(r.tokens or r.response for r in answers):
                        continue
                    change = max(apart(record, answer) for answer in answers[1:])
                    if change:
                        changes.append(
                            ChangedAnswer(f"{part}/{name}", record.id, record.prompt, tuple(answers), change)
                        )
    return sorted(changes, key=lambda row: -row.change)[:most]


def apart(one: Record, other: Record) -> float:
    """0 of equal answers; the share of words that differ, and 1 more for another verdict."""
    verdicts = one.harmful is not None and other.harmful is not None and one.harmful != other.harmful
    mine, theirs = one.response.split(), other.response.split()
    if mine == theirs:
        return float(verdicts)
    unlike = 1 - difflib.SequenceMatcher(None, mine[:MOST_WORDS], theirs[:MOST_WORDS]).ratio()
    return verdicts + max(unlike, 1e-3)  # where they differ past the words that are looked at
