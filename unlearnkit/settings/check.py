"""A composed config held against what reads it, before anything is instantiated or loaded."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, TypeVar

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from unlearnkit.errors import UserError, beginning, nearest
from unlearnkit.settings.bounds import Arguments, Made, Unread
from unlearnkit.settings.engine import faults_of_engine
from unlearnkit.settings.fits import Fault, faults
from unlearnkit.settings.references import of_yaml, read_by, references, unread_of_rows
from unlearnkit.settings.rows import faults_of_paper, faults_of_rows
from unlearnkit.settings.tree import keys_of, meant
from unlearnkit.settings.unloaded import SLOW, early
from unlearnkit.settings.words import bare
from unlearnkit.settings.yaml import ADDED, check_choices, groups, options

Read = TypeVar("Read")
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")


def check(
    config: DictConfig,
    reader: type,
    resolved: bool = False,
    further: Sequence[Callable[[DictConfig], object]] = (),
    read: Callable[[DictConfig], Read] | None = None,
) -> Read | None:
    """Refuse a key that nothing reads and a value that its reader cannot take.

    What is at the top is read by `reader`'s annotated names; a node with a `_target_` by what that names; and every
    key by an interpolation that says its name.

    Args:
        resolved: interpolations are gone, so that what a user wrote out cannot be told from what a paper's row says.
        further: checks that need no library either, of a config in which each value can be taken.
        read: what needs none and takes its time, so that it is done once: before the libraries are waited for.

    Returns:
        What `read` gives.

    Raises:
        UserError: the first such key.
    """

    def whole() -> None:
        _check(config, reader, resolved)
        for look in further:
            look(config)

    if HydraConfig.initialized():
        check_choices(HydraConfig.get().runtime.choices)
        check_merged(HydraConfig.get().overrides.task, config)
    made = read(config) if early(whole) and read else None
    whole()
    return read(config) if read and made is None else made


def check_all(configs: Sequence[DictConfig], reader: type, further: Sequence[Callable[[DictConfig], object]]) -> None:
    """The same of a sweep's cells, resolved, as far as it needs no library; each is checked whole as it begins."""

    def each() -> None:
        for config in configs:
            _check(config, reader, resolved=True)
            for look in further:
                look(config)

    if not early(each) and SLOW in sys.modules:
        each()


def check_merged(words: Iterable[str], config: DictConfig) -> None:
    """Refuse `KEY={}`, which Hydra merges with what is there, where that is not empty.

    Raises:
        UserError: the first such word, which a user means to empty something with.
    """
    parser = OverridesParser.create()
    for override in parser.parse_overrides(list(words)):
        key = override.key_or_group
        if override.is_delete() or override.value() != {}:
            continue
        there = OmegaConf.select(config, key, throw_on_missing=False)
        if isinstance(there, DictConfig) and (names := [str(name) for name in there]):
            out = " ".join(f"'~{key}.{name}'" for name in names)
            raise UserError(
                f"'{override.input_line}' takes nothing out of {key}: an empty mapping is merged with what is there",
                f"Leave it out, or take each out by its name: {beginning(out)}",
            )


def _check(config: DictConfig, reader: type, resolved: bool) -> None:
    names = references(config)
    _check_names(config, reader, names)
    model = config.get("model")
    if isinstance(model, DictConfig) and "hub" in model and not any(map(model.get, ("name", "hub", "path", "package"))):
        raise UserError("The model names no weights", "Set model.hub=ORG/NAME or model.path=FOLDER")
    for fault in faults_of_paper(config):
        raise refusal(fault, {})
    hints = typing.get_type_hints(reader, include_extras=True)
    unread = {key for key, hint in hints.items() if Unread() in bare(hint)[1]}
    plain = {str(key): _resolved(config, str(key)) for key in config if key not in unread}
    for fault in _all(plain, reader, names):
        raise refusal(fault, plain)
    if not resolved:
        _check_epochs(config)
        for fault in faults_of_rows(config, plain, reader):
            raise refusal(fault, plain)


def check_command(
    config: DictConfig,
    reader: type,
    further: Sequence[Callable[[DictConfig], object]] = (),
    read: Callable[[DictConfig], Read] | None = None,
) -> Read | None:
    """The same inside a command's job, with what was set of Hydra's own."""
    check_hydra(HydraConfig.get().overrides.hydra)
    return check(config, reader, further=further, read=read)


def check_hydra(words: Iterable[str]) -> None:
    """The same for overrides of what Hydra itself reads, as its own classes have it.

    Raises:
        UserError: the first key that it does not; no folder where one is asked for.
    """
    for word in words:
        kind: Any = HydraConf
        key, equals, value = word.lstrip("+~").partition("=")
        path = key.split(".")
        if equals and key in FOLDERS and value.strip("'\" ") in ("", "null"):
            raise UserError(f"'{key}=' names no folder", f"Set {key}= to a folder, or leave it out")
        for place, name in enumerate(path[1:], start=1):
            if not is_dataclass(kind):
                break
            hints = typing.get_type_hints(kind)
            if name not in hints and "/" not in path[0]:
                raise _unknown(Fault(".".join(path[: place + 1]), "", valid=tuple(hints), unknown=True), {})
            kind = hints.get(name)


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
    chosen = {*groups()} - {*ADDED, "paper"}
    for key in sorted(hints, key=lambda name: _imports(hints[name])):  # what needs no library is told without waiting
        hint = hints[key]
        if key in plain:
            found = faults(plain[key], hint, key)
            yield from (fault for fault in found if not (fault.unknown and read_by(fault.key, names)))
        elif key in chosen and Unread() not in bare(hint)[1]:
            yield Fault(key, "is missing", f"one of {', '.join(options(key))}")
    for key in plain.keys() - hints.keys():
        yield from faults(plain[key], Any, key)
    if isinstance(engine := plain.get("deepspeed"), Mapping):
        yield from faults_of_engine(engine)
    if isinstance(paper := plain.get("paper"), Mapping):
        yield from _unread_of_paper(paper, names | of_yaml())


def _imports(hint: Any) -> bool:
    """Something has to be imported before a value can be held against it."""
    marked = (hint, *(inner for inner in typing.get_args(hint)))
    return any(isinstance(mark, Made | Arguments) for part in marked for mark in bare(part)[1])


def _unread_of_paper(paper: Mapping[str, Any], names: frozenset[str]) -> Iterator[Fault]:
    """A paper's settings are read by interpolations, of whatever method, target or evaluation."""
    for name in paper:
        if not read_by(f"paper.{name}", names):
            valid = {other.split(".")[1] for other in names if other.startswith("paper.")}
            yield Fault(f"paper.{name}", "", valid=tuple(sorted(valid)), unknown=True)
    for key, valid_of_row in unread_of_rows(paper, names):
        yield Fault(key, "", valid=valid_of_row, unknown=True)


def refusal(fault: Fault, plain: Any) -> UserError:
    """The two lines for a fault."""
    key, right = fault.key, fault.right
    if fault.unknown:
        return _unknown(fault, plain)
    if fault.what == "is missing":
        return UserError(f"{key} is missing", f"Set {key}= to {right}")
    if fault.what == "is set elsewhere":
        return UserError(f"{key} would be overruled or do nothing here", right)
    what = fault.what.replace("is ", "=", 1) if fault.what.startswith("is ") else f" {fault.what}"
    if fault.valid:
        guess = nearest(fault.what.removeprefix("is "), fault.valid)
        said = f"{key}{what} is none of what it can be.{guess} Valid: {', '.join(fault.valid)}"
        return UserError(said, f"Set {key}= to one of these")
    quoted = f"; quote a number twice to make it text: '{key}=\"1\"'" if right.startswith("text") else ""
    return UserError(f"{key}{what}, and it takes {right}", f"Set {key}= to such a value{quoted}")


def _unknown(fault: Fault, plain: Any) -> UserError:
    place, _, word = fault.key.rpartition(".")
    beside = [f"{place}.{name}".removeprefix(".") for name in fault.valid]
    near = meant(fault.key, beside) or meant(fault.key, keys_of(plain))
    guess = f" Did you mean '{near}'?" if near else ""
    if not place and word in ADDED:
        guess = f" Did you mean '+{word}=NAME'?"
    valid = ", ".join(fault.valid)
    shown = valid if len(valid) < 400 else f"{valid[:400].rpartition(',')[0]}, ..."
    return UserError(
        f"Nothing reads '{fault.key}'.{guess}" + (f" Valid here: {shown}" if valid else ""),
        "Leave it out, or write the key that is meant; 'python -m unlearnkit --cfg job' prints every key",
    )


def _check_epochs(config: DictConfig) -> None:
    """Epochs that were written out say nothing beside a number of steps, which may come from a paper's row."""
    places = ["train", "target.stage", *(f"stages.{name}" for name in config.get("stages") or ())]
    for place in places:
        node = OmegaConf.select(config, place)
        if not isinstance(node, DictConfig) or "epochs" not in node or OmegaConf.is_interpolation(node, "epochs"):
            continue
        epochs, steps = node.epochs, node.get("max_steps")
        if epochs is not None and steps is not None:
            raise UserError(
                f"{place}.epochs={epochs} does nothing: {place}.max_steps={steps} says how long to train",
                f"Add {place}.max_steps=null, or leave {place}.epochs out",
            )
