"""Where a number stands, and how it is shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from unlearnkit.measures.display import Display, display_from, usual
from unlearnkit.measures.interval import Estimate

KEYS = ("value", "low", "high")
START: Final = "start"  # the moment before any stage
INSIDE = "inside"  # stands in the evaluation's place where an attack has looked at the layers


class Column(tuple[str, ...]):
    """(evaluation, set, measure), behind the name of an attack where the model was measured under one."""

    display: Display

    def __new__(cls, path: Iterable[str], display: Display | None = None) -> Column:
        column = super().__new__(cls, path)
        column.display = display or usual(column[-1] if column else "")
        return column


def flatten(
    numbers: Mapping[str, Any] | None, shown: Mapping[str, Any] | None = None, before: tuple[str, ...] = ()
) -> dict[Column, Estimate]:
    """Nested numbers -> estimates by column; a null number is NaN, None is empty.

    Args:
        shown: `evaluation/set/measure` -> how it is shown, as metrics.json has it.
        before: what the columns begin with.
    """
    return {
        Column((*before, *path), display_from(shown["/".join(path)]) if shown and "/".join(path) in shown else None): e
        for path, e in _leaves(numbers or {}, ())
    }


def before_and_after(metrics: Mapping[str, Any]) -> tuple[dict[Column, Estimate], dict[Column, Estimate]]:
    """The numbers of a metrics.json: of the start and of the end, each with what the attacks on it showed.

    With them goes what `unlearnkit.measure` measured later, under the name of its moment.
    """
    shown = metrics.get("columns")
    before, after = flatten(metrics["before"], shown), flatten(metrics.get("after"), shown)
    for moment in metrics.get("moments") or ():
        name, _, control = str(moment["name"]).partition("/")
        if name in (*metrics["attacks"], *metrics.get("measured", ())) and control in ("", "start"):
            (before if control else after).update(flatten(moment["numbers"], shown, (name,)))
    return before, after


def _leaves(numbers: Mapping[str, Any], path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Estimate]]:
    for name, entry in numbers.items():
        if isinstance(entry.get("value", {}), Mapping):
            yield from _leaves(entry, (*path, name))
        else:
            value, low, high = (math.nan if (x := entry.get(key)) is None else float(x) for key in KEYS)
            yield (*path, name), Estimate(value, low, high, int(entry.get("n", 0)), int(entry.get("seed", 0)))


class Value(Protocol):
    """A number with whatever else is known of it: an estimate, or a cell of a table."""

    @property
    def value(self) -> float: ...


def share_of_start(column: Column, now: Value, then: Value) -> float:
    """Of what the start had: of a number that is better low, how many times lower it was.

    NaN where there is none: of nothing, and of a number below it, nothing is a share.
    """
    high = column.display.better == "higher"
    if not (then.value > 0 if high else min(now.value, then.value) >= 0):
        return math.nan
    part, whole = (now.value, then.value) if high else (then.value, now.value)
    if whole:
        return part / whole
    return math.inf if part else 1.0
