"""A composed config held against what reads it, before anything is instantiated or loaded."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from unlearnkit.errors import UserError, nearest
from unlearnkit.settings.fits import Fault, faults
from unlearnkit.settings.references import of_yaml, read_by, references, unread_of_rows
from unlearnkit.settings.tree import keys_of, meant
from unlearnkit.settings.yaml import ADDED, groups, options


def check(config: DictConfig, reader: type) -> None:
    """Refuse a key that nothing reads and a value that its reader cannot take.

    What is at the top is read by `reader`'s annotated names; a node with a `_target_` by what that names; and every
    key by an interpolation that says its name.

    Raises:
        UserError: the first such key.
    """
    names = references(config)
    _check_names(config, reader, names)
    plain = {str(key): _resolved(config, str(key)) for key in config}
    for fault in _all(plain, reader, names):
        raise refusal(fault, plain)
    _check_epochs(config, plain)


def _check_names(config: DictConfig, reader: type, names: frozenset[str]) -> None:
    """The names at the top, for which no library is needed."""
    known = [name for each in reversed(reader.__mro__) for name in vars(each).get("__annotations__", {})]
    for key in map(str, config):
        if key not in known and not read_by(key, names):
            raise _unknown(Fault(key, "", valid=tuple(known), unknown=True), OmegaConf.to_container(config))


def _resolved(config: DictConfig, key: str) -> Any:
    part = config[key]
    return OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part


def _all(plain: dict[str, Any], reader: type, names: frozenset[str]) -> Iterator[Fault]:
    hints = typing.get_type_hints(reader, include_extras=True)
    for key, hint in hints.items():
        if key not in plain:
            if plain.keys() & {"model", "data"} and key in (
                "model",
                "data",
                "target",
                "judge",
                "train",
                "logger",
                "eval",
            ):
                yield Fault(key, "is missing", f"one of {', '.join(options(key))}")
            continue
        for fault in faults(plain[key], hint, key):
            if not (fault.unknown and read_by(fault.key, names)):
                yield fault
    for key in plain.keys() - hints.keys():
        yield from faults(plain[key], Any, key)
    if isinstance(paper := plain.get("paper"), Mapping):
        known = names | of_yaml()
        for name in paper:
            if not read_by(f"paper.{name}", known):
                valid = {other.split(".")[1] for other in known if other.startswith("paper.")}
                yield Fault(f"paper.{name}", "", valid=tuple(sorted(valid)), unknown=True)
        for key, valid_of_row in unread_of_rows(paper, known):
            yield Fault(key, "", valid=valid_of_row, unknown=True)


def refusal(fault: Fault, plain: Any) -> UserError:
    """The two lines for a fault."""
    if fault.unknown:
        return _unknown(fault, plain)
    if fault.what == "is set elsewhere":
        return UserError(f"{fault.key} would be overruled: it is set elsewhere", fault.right)
    guess = nearest(fault.what.removeprefix("is "), fault.valid) if fault.valid else ""
    valid = f" Valid: {', '.join(fault.valid)}" if fault.valid else ""
    what = fault.what.replace("is ", "=", 1) if fault.what.startswith("is ") else f" {fault.what}"
    if fault.what == "is missing":
        return UserError(f"{fault.key} is missing", f"Set {fault.key}= to {fault.right}")
    if valid:
        return UserError(
            f"{fault.key}{what} is none of what it can be.{guess}{valid}", f"Set {fault.key}= to one of these"
        )
    quoted = "" if "text" not in fault.right else f"; a number in quotes, twice: '{fault.key}=\"1\"'"
    return UserError(f"{fault.key}{what}: it takes {fault.right}", f"Set {fault.key}= to such a value{quoted}")


def _unknown(fault: Fault, plain: Any) -> UserError:
    word = fault.key.rpartition(".")[2]
    if guess := nearest(word, fault.valid) if fault.valid else "":
        place = fault.key.rpartition(".")[0]
        name = guess.split("'")[1]
        guess = f" Did you mean '{place}.{name}'?" if place else guess
    else:
        near = meant(fault.key, keys_of(plain))
        guess = f" Did you mean '{near}'?" if near else ""
    if "." not in fault.key and fault.key in (*groups(), *ADDED):
        guess = f" Did you mean '+{fault.key}=NAME'?"
    valid = f" Valid here: {', '.join(fault.valid)}" if fault.valid else ""
    shown = valid if len(valid) < 400 else f"{valid[:400].rpartition(',')[0]}, ..."
    return UserError(
        f"Nothing reads '{fault.key}'.{guess}{shown}",
        "Leave it out, or write the key that is meant; 'python -m unlearnkit --cfg job' prints every key",
    )


def _check_epochs(config: DictConfig, plain: dict[str, Any]) -> None:
    """Epochs that were written out say nothing beside a number of steps, which may come from a paper's row."""
    places = {"train": config.get("train"), "target.stage": OmegaConf.select(config, "target.stage")}
    stages = config.get("stages")
    places |= {f"stages.{name}": stages[name] for name in stages} if isinstance(stages, DictConfig) else {}
    for place, node in places.items():
        if not isinstance(node, DictConfig) or "epochs" not in node or OmegaConf.is_interpolation(node, "epochs"):
            continue
        if node.epochs is not None and node.get("max_steps") is not None:
            raise UserError(
                f"{place}.epochs={node.epochs:g} does nothing: {place}.max_steps={node.max_steps} says how long to train",
                f"Add {place}.max_steps=null, or leave {place}.epochs out",
            )
