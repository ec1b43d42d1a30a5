"""What a config's own interpolations read."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from unlearnkit.settings.sizes import ANY, KINDS, RATES, size_in_name
from unlearnkit.settings.yaml import FOLDER

# `${train.max_steps}`, `${oc.select:paper.row.eps1,2.5}`, `${row:${paper.rows},...}`: dotted names after ${ or a : or ,
NAME = re.compile(r"(?<=[{:,])\s*\.*([A-Za-z_][\w-]*(?:\.[\w-]+)*)")
ROW = "paper.row."


def references(config: DictConfig) -> frozenset[str]:
    """Every dotted name in an interpolation of a composed config."""
    plain = OmegaConf.to_container(config, resolve=False)
    return frozenset(name for text in _texts(plain) if "${" in text for name in NAME.findall(text))


@functools.cache
def of_yaml() -> frozenset[str]:
    """The same of all our YAML, whatever of it is chosen."""
    texts = (path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.yaml"))
    return frozenset(name for text in texts if "${" in text for name in NAME.findall(text))


def read_by(name: str, names: frozenset[str]) -> bool:
    """One of `names` is this one or lies below it."""
    return any(f"{other}.".startswith(f"{name}.") for other in names)


def unread_of_rows(paper: Mapping[str, Any], names: frozenset[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keys that nothing reads, each with those that would be read.

    Below `paper.rows` and `paper.others` these are what no `${...paper.row.KEY}` names; in a table of rates what is
    neither a kind of training nor a size.
    """
    valid = {name.removeprefix(ROW) for name in names if name.startswith(ROW)}
    whole = {name.partition(".")[0] for name in valid}

    def below(part: Any, path: str) -> Iterator[str]:
        if path in valid:
            return
        if path and not any(name.startswith(f"{path}.") for name in valid):
            yield path
        elif isinstance(part, Mapping):
            for key, value in part.items():
                yield from below(value, f"{path}.{key}".removeprefix("."))

    rows = {f"rows.{name}": row for name, row in (paper.get("rows") or {}).items()}
    for row, part in {**rows, "others": paper.get("others")}.items():
        for key in below(part, "") if isinstance(part, Mapping) else ():
            yield f"paper.{row}.{key}", tuple(sorted(whole))
    for table in RATES:
        for kind, sizes in (paper.get(table) or {}).items():
            if kind not in KINDS:
                yield f"paper.{table}.{kind}", KINDS
                continue
            for size in sizes if isinstance(sizes, Mapping) else ():
                if size != ANY and size_in_name(str(size)) is None:
                    yield f"paper.{table}.{kind}.{size}", (ANY, *(known for known in sizes if known not in (ANY, size)))


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)
