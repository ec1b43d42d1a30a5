"""What attacks brought back, as a run's last lines and its report show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import display_from, show_value

MODELS = {
    "start": "start",
    "unlearned": "unlearned",
    "attacked": "attacked",
    "never_knew": "never knew",
    "never_knew_attacked": "never knew, attacked",
}  # as metrics.json has them, as tables show them


@dataclass(frozen=True)
class Attacked:
    """One measure under one attack.

    Args:
        cells: what each of `MODELS` has, over the same prompts; "-" where one was not measured.
        share: recovered, with its interval; empty where start and unlearned model do not differ.
        compared: there could be a share; there is none of what an attack has seen inside.
    """

    attack: str
    place: str
    measure: str
    cells: list[str]
    share: str
    n: int
    certain: bool
    compared: bool = True


def attacked_rows(metrics: Mapping[str, Any]) -> Iterator[Attacked]:
    """Every measure under every attack, in the order in which they were made."""
    columns = metrics.get("columns", {})  # earlier versions had none
    for attack, recovery in metrics.get("recovered", {}).items():
        for evaluation, sets in recovery["shares"].items():
            for set_name, measures in sets.items():
                for measure, numbers in measures.items():
                    place = f"{evaluation}/{set_name}"
                    stored = columns.get(f"{place}/{measure}")
                    display = display_from(stored) if stored else Column((measure,)).display
                    cells = [show_value(display, numbers.get(model)) for model in MODELS]
                    share = numbers.get("share")
                    text = f"{share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}]" if share else ""
                    yield Attacked(attack, place, measure, cells, text, numbers["n"], bool(share), "share" in numbers)


def short_rows(metrics: Mapping[str, Any]) -> list[Attacked]:
    """One line an attack and set: the first measure that has a share, or else the first."""
    short: dict[tuple[str, str], Attacked] = {}
    for row in attacked_rows(metrics):
        key = (row.attack, row.place)
        if key not in short or (row.certain and not short[key].certain):
            short[key] = row
    return list(short.values())


def is_attacks(column: Column, metrics: Mapping[str, Any]) -> bool:
    """The number was measured under an attack of which it is known what it brought back."""
    return len(column) > 3 and bool(metrics.get("recovered", {}).get(column[0], {}).get("shares"))
