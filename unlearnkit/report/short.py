"""The first screen of a run's report: what was forgotten, what was lost, and a few answers before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unlearnkit.data.roles import BY_NAME
from unlearnkit.data.spread import places
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import only_in_figures, show_interval, show_value
from unlearnkit.report.answers import Row, example
from unlearnkit.tables.reading import Run

PAIRS = 6
FORGET_SIDE, RETAIN_SIDE = ("forget", "holdout"), ("retain", "general")
# Of a set's measures those that say most, the first that is there.
SAYING = {
    "forget": (("harmful_rate", "success", "probability", "rouge_l_recall"),),
    "retain": (("known_answers", "success", "model_utility", "probability"), ("answer_perplexity", "perplexity")),
}


def short(run: Run, rows: Sequence[Row]) -> dict[str, Any]:
    """What the first screen shows.

    Args:
        rows: of generations.jsonl.

    Returns:
        `forgotten` and `lost`: lines as `line` makes them; `pairs`: see `answers.example`. All empty for a run without
        an end.
    """
    if not run.after:
        return {"forgotten": [], "lost": [], "pairs": []}
    return {
        "forgotten": [line(run, column) for column in telling(run, FORGET_SIDE, SAYING["forget"])],
        "lost": [line(run, column) for column in telling(run, RETAIN_SIDE, SAYING["retain"])],
        "pairs": [example("", {run.method: row}, [run.method]) for row in chosen(rows)],
    }


def telling(run: Run, roles: Sequence[str], groups: Sequence[Sequence[str]]) -> list[Column]:
    """Of each set on these sides, one measure of each group, or else its first; attacks have no part in it."""
    sets: dict[tuple[str, ...], list[Column]] = {}
    for column in run.before:
        directed = column in run.after and column.display.better and not only_in_figures(column[-1])
        if len(column) == 3 and directed and side(column) in roles:
            sets.setdefault(column[:-1], []).append(column)
    columns: list[Column] = []
    for own in sets.values():
        by_name = {column[-1]: column for column in own}
        picks = [next((by_name[name] for name in group if name in by_name), None) for group in groups]
        columns += [column for column in picks if column is not None] or own[:1]
    return columns


def side(column: Column) -> str | None:
    """The role of a column's set; what an earlier version wrote is known by the set's name."""
    return column.display.role or BY_NAME.get(column[-2])


def line(run: Run, column: Column) -> dict[str, Any]:
    """One number before and after; where a share of it can be said to be kept, that share."""
    old, new, display = run.before[column], run.after[column], column.display
    times = None
    if side(column) in RETAIN_SIDE and old.value > 0 and new.value > 0:
        share = new.value / old.value
        times = f"{share:.0%} of it" if display.better == "higher" else f"{share:.3g} times"
    return {
        "set": column[-2],
        "measure": column[-1].replace("_", " "),
        "before": show_value(display, old.value),
        "after": show_value(display, new.value),
        "interval": show_interval(display, new.low, new.high),
        "times": times,
    }


def chosen(rows: Iterable[Mapping[str, Any]], most: int = PAIRS) -> list[Row]:
    """Rows with an answer after, the sets in turn and in each the categories: by place, never by what was answered."""
    sets: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("after") is not None:
            sets.setdefault(str(row.get("set")), []).append(dict(row))
    turns = {name: [own[n] for n in places([row.get("category") for row in own])] for name, own in sets.items()}
    picks = [(turn, name) for turn in range(most) for name, own in turns.items() if turn < len(own)][:most]
    order = list(turns)
    return [turns[name][turn] for turn, name in sorted(picks, key=lambda one: (order.index(one[1]), one[0]))]
