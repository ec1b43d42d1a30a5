"""The rows of a paper that this run does not take: what they say is held against what would read it."""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from unlearnkit.settings.bounds import AboveZero
from unlearnkit.settings.fits import Fault, faults
from unlearnkit.settings.references import NAME, ROW
from unlearnkit.settings.sizes import ANY, KINDS, RATES, size_in_name
from unlearnkit.settings.tree import leaves
from unlearnkit.settings.words import described, shown


def faults_of_paper(config: DictConfig) -> Iterator[Fault]:
    """What is no table of rows, which no interpolation could read."""
    paper = OmegaConf.to_container(config, resolve=False).get("paper")  # type: ignore[union-attr]
    if not isinstance(paper, Mapping):
        tables = {} if paper is None else {"paper": paper}
    else:
        rows = paper.get("rows") or {}
        tables = {f"paper.rows.{name}": row for name, row in rows.items()} if isinstance(rows, Mapping) else {}
        tables |= {f"paper.{name}": paper[name] for name in ("rows", "row") if paper.get(name) is not None}
    for key, table in tables.items():
        if not isinstance(table, Mapping) and not str(table).startswith("${"):
            yield Fault(key, f"is {shown(table)}", described(dict))
    if isinstance(paper, Mapping):
        for name in RATES:
            yield from _faults_of_rates(paper.get(name), f"paper.{name}")


def _faults_of_rates(tables: Any, key: str) -> Iterator[Fault]:
    """Rates that are none, in a table that this model may never reach."""
    for kind, table in tables.items() if isinstance(tables, Mapping) else ():
        if kind not in KINDS:
            yield Fault(f"{key}.{kind}", "", valid=KINDS, unknown=True)
        for size, rate in table.items() if isinstance(table, Mapping) else ():
            if size != ANY and size_in_name(str(size)) is None:
                yield Fault(
                    f"{key}.{kind}.{size}", "", valid=(*(s for s in table if s not in (size, ANY)), ANY), unknown=True
                )
            yield from faults(rate, AboveZero, f"{key}.{kind}.{size}")


def faults_of_rows(config: DictConfig, plain: Mapping[str, Any], reader: type) -> Iterator[Fault]:
    """Wrong values of `paper.rows`, each under its own key.

    Args:
        config: with its interpolations, which say what reads a row.
        plain: the same, resolved.
        reader: see `unlearnkit.settings.check.check`.
    """
    paper = plain.get("paper") or {}
    rows = {name: row for name, row in (paper.get("rows") or {}).items() if isinstance(row, Mapping)}
    reading = _reading(config)
    hints = typing.get_type_hints(reader, include_extras=True)
    for name, row in rows.items():
        if row == paper.get("row"):
            continue
        other = copy.deepcopy(config)
        OmegaConf.update(other, ROW[:-1], row, merge=False, force_add=True)
        parts = {top: copy.deepcopy(plain[top]) for top in dict.fromkeys(path[0] for path in reading) if top in hints}
        for path, names in reading.items():
            held = next((key for key in names if OmegaConf.select(other, f"{ROW}{key}") is not None), None)
            if held is None or path[0] not in parts:
                continue
            try:
                value = OmegaConf.select(other, ".".join(path))
            except Exception:  # a resolver that computes with it
                wrong = shown(OmegaConf.select(other, f"{ROW}{held}"))
                yield Fault(f"paper.rows.{name}.{held}", f"is {wrong}", f"what {'.'.join(path)} reads")
                return
            _put(parts[path[0]], path[1:], value)
        for top, part in parts.items():
            for fault in faults(part, hints[top], top):
                if keys := reading.get(tuple(fault.key.split("."))):
                    held = next(key for key in keys if OmegaConf.select(other, f"{ROW}{key}") is not None)
                    of_methods = OmegaConf.select(other, f"{ROW}{held}")
                    if OmegaConf.is_dict(of_methods) and (method := config.get("method")) in of_methods:
                        held = f"{held}.{method}"
                    yield Fault(f"paper.rows.{name}.{held}", fault.what, fault.right, fault.valid)


def _reading(config: DictConfig) -> dict[tuple[str, ...], list[str]]:
    """Path of a leaf -> the keys of the run's row that its interpolation names."""
    found = {}
    for path, text in leaves(OmegaConf.to_container(config, resolve=False)):
        if isinstance(text, str) and "${" in text:
            names = [name.removeprefix(ROW) for name in NAME.findall(text) if name.startswith(ROW)]
            if names and path[0] != "paper":
                found[path] = names
    return found


def _put(part: Any, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
