"""What the runs' configs say differently, of all that decides a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unlearnkit.compare.sides import Side
from unlearnkit.identity import ABSENT, INPUTS, NO_MATTER, flat
from unlearnkit.secrets import redacted
from unlearnkit.tables.variants import DERIVED


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
    configs = [flat(redacted(side.config)) for side in sides]
    if not all(any(key.startswith(f"{INPUTS}.") for key in config) for config in configs):  # of an earlier version
        configs = [{k: v for k, v in config.items() if not k.startswith(f"{INPUTS}.")} for config in configs]
    found: list[Setting] = []
    keys = dict.fromkeys(key for config in configs for key in config)
    for key in sorted(keys, key=lambda name: name.startswith(DERIVED)):
        values = tuple(config.get(key, ABSENT) for config in configs)
        if len(set(map(repr, values))) == 1 or NO_MATTER.search(key):
            continue
        last = key.rpartition(".")[2]
        twin = any(there.key.rpartition(".")[2] == last and there.values == values for there in found)
        found.append(Setting(key, values, key.startswith(DERIVED) and twin))
    return found


def written(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
