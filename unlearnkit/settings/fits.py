"""Does a value fit an annotation: the first place where it does not, in words."""

from __future__ import annotations

import enum
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from unlearnkit.errors import first_line
from unlearnkit.files import writable
from unlearnkit.settings.bounds import Arguments, Bound, Made, Word
from unlearnkit.settings.readers import OF_HYDRA, Reader, object_at, reader
from unlearnkit.settings.unloaded import unknown
from unlearnkit.settings.words import LISTS, MAPPINGS, bare, described, members, shown, written


@dataclass(frozen=True)
class Fault:
    """A wrong value: its key, what is wrong, what would be right; `unknown`: nothing reads the key."""

    key: str
    what: str
    right: str = ""
    valid: tuple[str, ...] = ()
    unknown: bool = False


def faults(value: Any, hint: Any, key: str) -> Iterator[Fault]:
    """Where a value, plain data, does not fit an annotation.

    A mapping with a `_target_` is held against the signature of what it names, whatever the annotation.
    """
    hint, marks = bare(hint)
    if isinstance(value, str) and not writable(value):
        yield Fault(key, "holds a lone surrogate, which no file can hold", "text of whole characters")
        return
    if unknown(hint) or (value is None and _takes_none(hint)):
        return
    if isinstance(value, Mapping) and "_target_" in value:
        yield from _node(value, hint, marks, key)
        return
    for mark in marks:
        if isinstance(mark, Arguments) and isinstance(value, Mapping):
            yield from _arguments(value, mark, key)
            return
        if isinstance(mark, Made):
            yield Fault(key, f"is {shown(value)}", "a mapping with a _target_")
            return
    if parts := members(hint):
        yield from _any_of(value, parts, marks, key)
        return
    yield from _one(value, hint, marks, key)


def _takes_none(hint: Any) -> bool:
    return hint in (Any, None, type(None)) or any(_takes_none(bare(member)[0]) for member in members(hint))


def _any_of(value: Any, parts: tuple[Any, ...], marks: tuple[Any, ...], key: str) -> Iterator[Fault]:
    """None where one member fits. A name of an enum is a text, so an enum beside `str` says which texts."""
    named = [m for m in parts if isinstance(m, type) and issubclass(m, enum.Enum)]
    tried = [m for m in parts if not (named and m is str)]
    found = [list(faults(value, Annotated[(member, *marks)] if marks else member, key)) for member in tried]
    if not all(found):
        return
    deepest = max((fault for each in found for fault in each), key=lambda fault: len(fault.key))
    if deepest.key != key or deepest.unknown:
        yield deepest
        return
    rest = tuple(m for m in tried if m is not type(None))
    words = " or ".join(dict.fromkeys(described(member, marks) for member in rest))
    yield Fault(key, f"is {shown(value)}", words + (", or null" if len(rest) < len(tried) else ""))


def _one(value: Any, hint: Any, marks: tuple[Any, ...], key: str) -> Iterator[Fault]:
    kind = typing.get_origin(hint) or hint
    wrong = Fault(key, f"is {shown(value)}", described(hint, marks))
    if kind is Literal:
        choices = typing.get_args(hint)
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            yield Fault(key, f"is {shown(value)}", wrong.right, tuple(map(written, choices)))
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        values = tuple(str(member.value) for member in kind)
        if str(value) not in values:
            yield Fault(key, f"is {shown(value)}", wrong.right, values)
    elif kind in (bool, int, float, str, Path):
        if not _is(value, kind) or any(isinstance(m, Bound) and not m.holds(value) for m in marks):
            yield wrong
        elif any(isinstance(mark, Word) for mark in marks) and not _word(value):
            yield Fault(key, f"is {shown(value)}", "a name without a slash, a dot in front or blanks around it")
    elif kind in LISTS:
        if not isinstance(value, list):
            yield wrong
            return
        arguments = [argument for argument in typing.get_args(hint) if argument is not Ellipsis]
        for number, item in enumerate(value):
            yield from faults(item, arguments[0] if arguments else Any, f"{key}[{number}]")
    elif kind in MAPPINGS:
        if not isinstance(value, Mapping):
            yield wrong
            return
        arguments = list(typing.get_args(hint))
        for name, item in value.items():
            yield from faults(item, arguments[1] if arguments else Any, f"{key}.{name}")
    elif hint is Any or isinstance(hint, typing.TypeVar):
        inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for name, item in inside:
            yield from faults(item, Any, f"{key}.{name}" if isinstance(value, Mapping) else f"{key}[{name}]")
    else:
        yield wrong


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str if kind is Path else kind)


def _word(value: str) -> bool:
    kept = bool(value) and value == value.strip() and not value.startswith(".")
    return kept and not {"/", "\\", "\0"} & set(value)


def _node(value: Mapping[str, Any], hint: Any, marks: tuple[Any, ...], key: str) -> Iterator[Fault]:
    """A mapping with a `_target_`, against that and against the class that is wanted."""
    name = value["_target_"]
    try:
        target = object_at(str(name))
    except Exception as error:
        why = first_line(error.__cause__ or error, 120)
        yield Fault(f"{key}._target_", f"is {shown(name)}, which cannot be imported ({why})", "a class or a function")
        return
    if not callable(target):
        yield Fault(f"{key}._target_", f"is {shown(name)}", "a class or a function")
        return
    read = reader(target)
    for name_of_hydra in ("_partial_", "_recursive_"):
        yield from faults(value.get(name_of_hydra, False), bool, f"{key}.{name_of_hydra}")
    if value.get("_partial_") is not True:
        yield from _class(read, hint, marks, key, str(name))
    yield from _keys({k: v for k, v in value.items() if k not in OF_HYDRA}, read, key)
    given = {*value, *list(read.parameters)[: len(value.get("_args_") or ())]}
    if value.get("_partial_") is not True:
        for lacking in sorted(read.required - given):
            yield Fault(f"{key}.{lacking}", "is missing", described(read.parameters[lacking]))


def _keys(value: Mapping[str, Any], read: Reader, key: str) -> Iterator[Fault]:
    for name, item in value.items():
        if name in read.parameters:
            yield from faults(item, read.parameters[name], f"{key}.{name}")
        elif not read.takes_all:
            yield Fault(f"{key}.{name}", "", valid=tuple(read.parameters), unknown=True)
        else:
            yield from faults(item, Any, f"{key}.{name}")


def _class(read: Reader, hint: Any, marks: tuple[Any, ...], key: str, name: str) -> Iterator[Fault]:
    """Is what is made of the class that is wanted? Of a protocol: has it the methods?"""
    wanted = [object_at(mark.of) for mark in marks if isinstance(mark, Made) and mark.of]
    wanted += [member for member in (members(hint) or (hint,)) if isinstance(member, type)]
    classes = [w for w in wanted if w not in (Any, type(None), dict, list, str, int, float, bool)]
    if read.makes is None or read.makes is type(None) or not classes or any(_is_a(read.makes, w) for w in classes):
        return
    kind = " or ".join(each.__name__ for each in classes)
    yield Fault(f"{key}._target_", f"is {name}, which makes no {kind}", f"the name of a {kind}")


def _is_a(made: type, wanted: type) -> bool:
    if Protocol in wanted.__bases__:
        methods = [name for name, part in vars(wanted).items() if not name.startswith("_") and callable(part)]
        return all(hasattr(made, name) for name in methods)
    return issubclass(made, wanted)


def _arguments(value: Mapping[str, Any], mark: Arguments, key: str) -> Iterator[Fault]:
    read = reader(object_at(mark.target))
    parent = key.rpartition(".")[0]
    for name, item in value.items():
        if name in mark.but:
            yield Fault(f"{key}.{name}", "is set elsewhere", mark.but[name].replace("PLACE", parent or key))
        elif name in mark.also:
            yield from faults(item, mark.also[name], f"{key}.{name}")
        elif name not in read.parameters and not read.takes_all:
            valid = tuple(n for n in (*read.parameters, *mark.also) if n not in mark.but)
            yield Fault(f"{key}.{name}", "", valid=valid, unknown=True)
        else:
            hint = read.parameters.get(name, Any)
            bound = mark.bounds.get(name)
            yield from faults(item, Annotated[hint, bound] if bound else hint, f"{key}.{name}")
