"""Annotations and values in words."""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from unlearnkit.errors import beginning
from unlearnkit.settings.bounds import Bound

MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
LISTS = (list, tuple, set, collections.abc.Sequence, collections.abc.Iterable)


def members(hint: Any) -> tuple[Any, ...]:
    """Of a union; empty for anything else."""
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else ()


def bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without its marks, and the marks."""
    if typing.get_origin(hint) is Annotated:
        inner, *marks = typing.get_args(hint)
        return inner, tuple(marks)
    return hint, ()


def described(hint: Any, marks: tuple[Any, ...] = ()) -> str:
    """What an annotation takes, in words."""
    inner, own = bare(hint)
    marks = (*marks, *own)
    if parts := members(inner):
        return " or ".join(dict.fromkeys(described(member, marks) for member in parts))
    if inner in (None, type(None)):
        return "null"
    if typing.get_origin(inner) is Literal:
        return " or ".join(written(choice) for choice in typing.get_args(inner))
    if isinstance(inner, type) and issubclass(inner, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in inner)
    bound = next((f" {mark}" for mark in marks if isinstance(mark, Bound)), "")
    kind = typing.get_origin(inner) or inner
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    if kind in names:
        return names[kind] + (bound if kind in (int, float) else "")
    if kind in LISTS:
        arguments = [a for a in typing.get_args(inner) if a is not Ellipsis]
        return "a list [A, B]" + (f", each {described(arguments[0])}" if arguments and arguments[0] is not Any else "")
    return "a mapping {key: value}" if kind in MAPPINGS else "a mapping with a _target_"


def shown(value: Any) -> str:
    """A value as it would be written on the command line, cut where it is long."""
    text = "a mapping" if isinstance(value, Mapping) else "" if isinstance(value, list) else written(value)
    text = text or "[" + ", ".join(shown(item) for item in value) + "]"
    text = text.encode("utf-8", "replace").decode().replace("\n", "\\n")
    return text if len(text) <= 60 else beginning(text, 57) + "..."


def written(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) or "''"
