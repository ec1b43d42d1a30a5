"""Several samples of one prompt are one observation: they are averaged before anything is said of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from unlearnkit.records.record import Record

Key = TypeVar("Key")


def mean(values: Sequence[float]) -> float:
    """Of one number or more."""
    return sum(values) / len(values)


def per_prompt(
    rows: Iterable[tuple[Record, float]], together: Callable[[Sequence[float]], float] = mean
) -> list[float]:
    """One number a prompt, in the order they come.

    Args:
        together: what a prompt's samples say together; of several draws of an attack that is the mean over these.
    """
    return list(by_prompt(rows, lambda record: (record.set, record.id, record.prompt), together).values())


def by_prompt(
    rows: Iterable[tuple[Record, float]],
    key: Callable[[Record], Key],
    together: Callable[[Sequence[float]], float] = mean,
) -> dict[Key, float]:
    """The same, by what tells one prompt from another."""
    prompts: dict[Key, dict[int, list[float]]] = {}
    for record, value in rows:
        prompts.setdefault(key(record), {}).setdefault(record.draw, []).append(float(value))
    return {own: mean([together(values) for values in draws.values()]) for own, draws in prompts.items()}
