"""What the runs' configs say differently, of all that decides a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unlearnkit.compare.sides import Side
from unlearnkit.identity import ABSENT, NO_MATTER, flat
from unlearnkit.secrets import redacted
from unlearnkit.tables.variants import DERIVED, alike, written


@dataclass(frozen=True)
class Setting:
    """A dotted key and what it is in each run.

    Args:
        follows: another key, shown before it, differs likewise and is what this one is made from.
    """

    key: str
    values: tuple[Any, ...]
    follows: bool

    @property
    def written(self) -> list[str]:
        return [written(value) for value in self.values]


def settings(sides: Sequence[Side]) -> list[Setting]:
    """The keys that differ: first those that decide others, then those that may follow from them."""
    configs = alike([flat(redacted(side.config)) for side in sides])
    rows: list[Setting] = []
    keys = dict.fromkeys(key for config in configs for key in config)
    for key in sorted(keys, key=lambda name: name.startswith(DERIVED)):
        values = tuple(config.get(key, ABSENT) for config in configs)
        if len(set(map(repr, values))) == 1 or NO_MATTER.search(key):
            continue
        last = key.rpartition(".")[2]
        twin = any(there.key.rpartition(".")[2] == last and there.values == values for there in rows)
        rows.append(Setting(key, values, key.startswith(DERIVED) and twin))
    return rows
