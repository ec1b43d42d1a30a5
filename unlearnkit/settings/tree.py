"""The key that was meant, out of all keys of a config."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def keys_of(config: Any, path: str = "") -> Iterator[str]:
    """Every dotted key of plain data, mappings and leaves alike, those on top first."""
    if not isinstance(config, Mapping):
        return
    for name in config:
        yield f"{path}.{name}".removeprefix(".")
    for name, part in config.items():
        yield from keys_of(part, f"{path}.{name}".removeprefix("."))


def leaves(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of all that is in mappings of plain data and no mapping itself."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from leaves(value, (*path, str(name)))
    else:
        yield path, part


def meant(key: str, known: Iterable[str]) -> str | None:
    """The known key that `key` is most likely to mean; None where none comes near.

    In this order: one that ends in the same word, one whose last word is spelt alike, one with these initials
    (lr: learning_rate), one whose last word holds it. Of several the one with most in common with the path that was
    given, then one of `train`, then the shortest.
    """
    path, _, word = key.rpartition(".")
    every = [
        name
        for name in known
        if not f"{key}.".startswith(f"{name}.")
        and not name.startswith(f"{key}.")
        and not name.rpartition(".")[2].startswith("_")
    ]

    def best(names: list[str]) -> str | None:
        def rank(name: str) -> tuple[float, bool, int, int]:
            place = name.rpartition(".")[0]
            alike = difflib.SequenceMatcher(None, path, place).ratio() if path else 0.0
            return -alike, not name.startswith("train."), name.count("."), len(name)

        return min(names, key=rank) if names else None

    last = {name: name.rpartition(".")[2] for name in every}
    if same := best([name for name, own in last.items() if own == word]):
        return same
    if close := difflib.get_close_matches(word, list(dict.fromkeys(last.values())), n=1, cutoff=0.7):
        return best([name for name, own in last.items() if own == close[0]])
    initials = [name for name, own in last.items() if "_" in own and "".join(w[:1] for w in own.split("_")) == word]
    if found := best(initials):
        return found
    if len(word) > 3 and (found := best([name for name, own in last.items() if word in own.split("_")])):
        return found
    return None
