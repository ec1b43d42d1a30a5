"""A check held before the libraries are imported that it would wait for: torch and transformers take ten seconds.

A process of its own imports this package's modules with `Unloaded` in the libraries' place, and then ends. So the
signatures are read by Python itself, and nothing is left of what stood there.
"""

from __future__ import annotations

import importlib.abc
import multiprocessing
import os
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from unlearnkit.errors import UserError

# Modules of libraries that hold a config's class and little else: these are read, without the rest of their library.
CONFIGS = ("transformers.training_args", "peft.config", "peft.tuners.lora.config")
SLOW = "torch"  # where it is imported already, there is nothing to wait for
PATIENCE = 20  # seconds of CPU, after which the check waits for the libraries


class Unread(Exception):
    """What stands in a library was asked for, and not only what is called how in it."""


class Unknown:
    """The base of a class whose own base is `Unloaded`."""

    def __init__(self, *args: Any, **kwargs: Any): ...


class Unloaded:
    """Stands for a module that is not imported, and for all that is in it. As an annotation it takes any value.

    What it holds nobody knows: whoever asks ends the check, which is then held with the libraries.

    Raises:
        Unread: somebody asks.
    """

    __file__ = os.devnull

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        raise Unread

    def __contains__(self, key: object) -> bool:
        raise Unread

    def __len__(self) -> int:
        raise Unread

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unloaded()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As a decorator it gives back what it is laid over."""
        return args[0] if args and isinstance(args[0], types.FunctionType) else self

    def __getitem__(self, key: object) -> Unloaded:
        return self

    def __iter__(self) -> Iterator[object]:
        if sys._getframe(1).f_globals.get("__name__") in CONFIGS:  # of whose module only the signatures are read
            return iter(())
        raise Unread

    def __or__(self, other: object) -> Unloaded:
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return (Unknown,)


def unknown(kind: object) -> bool:
    """Nothing can be said of what this is or makes."""
    return isinstance(kind, Unloaded) or (isinstance(kind, type) and issubclass(kind, Unknown))


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives `Unloaded` for what is neither this package's, nor Python's, nor imported already."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        known = top == __name__.partition(".")[0] or top in sys.stdlib_module_names
        if known or not isinstance(sys.modules.get(top, Unloaded()), Unloaded):
            return None
        library = PathFinder.find_spec(top) if name in CONFIGS else None
        if library is not None and library.submodule_search_locations:
            parts = name.split(".")[1:]
            file = Path(library.submodule_search_locations[0], *parts).with_suffix(".py")
            return spec_from_file_location(name, file)
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> Any:
        return Unloaded()

    def exec_module(self, module: object) -> None: ...


def early(check: Callable[[], object]) -> bool:
    """What `check` refuses without the libraries; what it lets pass is still to be checked with them.

    Returns:
        True where it passed; False where nothing could be told, or there was nothing to wait for.

    Raises:
        UserError: the check's own.
    """
    if SLOW in sys.modules or not hasattr(os, "fork"):
        return False
    forking = multiprocessing.get_context("fork")
    receiving, sending = forking.Pipe(duplex=False)
    process = forking.Process(target=_send_refusal, args=(check, sending), daemon=True)
    process.start()
    sending.close()
    try:
        refusal = receiving.recv()
    except EOFError:  # whatever the check could not do there
        return False
    finally:
        process.kill()
        process.join()
    if refusal:
        raise UserError(*refusal)
    return True


def _send_refusal(check: Callable[[], object], sending: Connection) -> None:
    """In the process of its own, which says nothing but this."""
    import resource  # Unix has it, as it has fork

    resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.meta_path.insert(0, Finder())
    try:
        check()
        sending.send(None)
    except UserError as error:
        sending.send((error.what, error.fix))
    except BaseException:  # the check with the libraries tells of it
        os._exit(1)
