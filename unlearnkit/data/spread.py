"""A few rows for all of them: from every category its share, and from every part of a category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def spread(rows: Sequence[Any], limit: int | None) -> list[Any]:
    """`limit` of the rows, in their order; all if None. A larger limit adds rows and takes none away.

    First one of each category (their `category`, if they have one), the largest first; then each category by its size.
    """
    if limit is None or limit >= len(rows):
        return list(rows)
    chosen = places([getattr(row, "category", None) for row in rows])[: max(limit, 0)]
    return [rows[place] for place in sorted(chosen)]


def places(categories: Sequence[str | None]) -> list[int]:
    """All places, in the order in which rows are taken."""
    members: dict[str | None, list[int]] = {}
    for place, category in enumerate(categories):
        members.setdefault(category, []).append(place)
    turns = []
    for own in members.values():
        for turn, place in enumerate(evenly(len(own))):
            turns.append((turn > 0, (turn + 0.5) / len(own), own[place]))
    return [place for _, _, place in sorted(turns)]


def evenly(count: int) -> list[int]:
    """0 to count - 1, so ordered that any beginning is spread over them: digits of van der Corput's sequence."""
    bits = max(count - 1, 0).bit_length()
    mirrored = (int(f"{number:0{bits}b}"[::-1], 2) if bits else 0 for number in range(1 << bits))
    return [place for place in mirrored if place < count]


def evenly_spaced(rows: Sequence[Any], limit: int | None) -> list[Any]:
    """`limit` of the rows at equal distances, in their order; all if None."""
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, limit).round()]


def held_out(rows: Sequence[Any], share: float) -> dict[str, list[Any]]:
    """`validation`, that share of the rows, evenly spaced, and `test`, the others, one at least."""
    chosen = evenly_spaced(range(len(rows)), min(round(share * len(rows)), max(len(rows) - 1, 0)))
    return {
        "validation": [rows[place] for place in chosen],
        "test": [row for place, row in enumerate(rows) if place not in set(chosen)],
    }
