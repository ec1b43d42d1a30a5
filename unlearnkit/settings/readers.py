"""What reads a node of a config: the parameters of the class or function that `_target_` names."""

from __future__ import annotations

import functools
import inspect
import pkgutil
import typing
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from unlearnkit.settings.unloaded import unknown

OF_HYDRA = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")


@dataclass(frozen=True)
class Reader:
    """Parameter -> annotation (`Any` where there is none).

    Args:
        required: parameters without a default.
        takes_all: it has **kwargs, so that no key is unknown.
        makes: the class of what it returns; None where that is not known.
    """

    parameters: Mapping[str, Any]
    required: frozenset[str] = frozenset()
    takes_all: bool = False
    makes: type | None = None


def reader(target: Any) -> Reader:
    """Of a class, a function or anything else that can be called."""
    return _reader(target) if isinstance(target, Hashable) else _reader.__wrapped__(target)


@functools.cache
def _reader(target: Any) -> Reader:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # some built-ins have none
        return Reader({}, takes_all=True)
    own = {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    hints = _hints(target)
    made = target if isinstance(target, type) else hints.get("return")
    return Reader(
        {name: hints.get(name, Any) for name in own},
        frozenset(name for name, parameter in own.items() if parameter.default is parameter.empty),
        inspect.Parameter.VAR_KEYWORD in kinds or unknown(target),
        made if isinstance(made, type) else None,
    )


def _hints(target: Any) -> dict[str, Any]:
    described = target
    if isinstance(target, functools.partial):
        described = target.func
    elif isinstance(target, type) and not is_dataclass(target):
        described = target.__init__  # type: ignore[misc]
    try:
        return typing.get_type_hints(described, include_extras=True)
    except Exception:  # names that exist for a type checker alone: the parameters are known, their types are not
        return {}


def object_at(name: str) -> Any:
    """The object of a dotted name.

    Raises:
        Exception: whatever its import raises.
    """
    return pkgutil.resolve_name(name)
