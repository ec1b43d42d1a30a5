"""One run a folder, for as long as it lives, and no run in a folder that is somebody else's."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import yaml
from filelock import FileLock, Timeout

from unlearnkit import sums
from unlearnkit.errors import UserError, first_line
from unlearnkit.files import PARTIAL, cache_folder, sweep
from unlearnkit.ranks.signals import stoppable
from unlearnkit.settings.places import word

P = ParamSpec("P")
Made = TypeVar("Made")

LOCK, OWNER = ".owner.lock", ".owner"
BEFORE = (LOCK, OWNER, ".lock", "error.txt", ".hydra", ".submitit")  # what may be there before a run has begun
ANEW = "choose another folder with hydra.run.dir=FOLDER"
_locks: list[tuple[Path, FileLock]] = []


def owner(work: Callable[P, Made]) -> Callable[P, Made]:
    """Decorates a run: what it owns it lets go at its end, and a signal stops it as `ranks.signals` says."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> Made:
        try:
            with stoppable():
                return work(*args, **kwargs)
        finally:
            while _locks:
                folder, lock = _locks.pop()
                sums.let_go(folder)
                (folder / OWNER).unlink(missing_ok=True)
                lock.release()

    return run


def own(folder: Path) -> None:
    """Take a folder for this run, until it ends; what processes that died left half-written there goes.

    Raises:
        UserError: the folder is another process's, or holds something that no run has written.
        OSError: it cannot be written.
    """
    if any(folder == other for other, _ in _locks):
        return
    check_folder(folder)
    sweep(cache_folder())
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{folder} belongs to a run that is going on: {_owner(folder)}",
            f"Wait until it has ended and start this again, or {ANEW}",
        ) from None
    _locks.append((folder, lock))
    sums.keep(folder)
    for left in folder.rglob(f"*{PARTIAL}"):
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink(missing_ok=True)
    (folder / OWNER).write_text(f"process {os.getpid()} on {platform.node()}\n")


def _owner(folder: Path) -> str:
    with contextlib.suppress(OSError):
        if text := (folder / OWNER).read_text(errors="replace").strip():
            return text
    return "another process"


def check_folder(folder: Path) -> None:
    """A run's folder, an empty one, or none yet.

    Raises:
        UserError: anything else, which a run would mix with its own or take away.
    """
    if not folder.is_dir() or (folder / "config.yaml").is_file():
        return
    names = sorted(path.name for path in folder.iterdir() if not _is_nothing(path))
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise UserError(
            f"{folder} is no run's folder: it has no config.yaml, and holds {', '.join(names[:3])}{more}",
            f"Leave it alone and {ANEW}",
        )


def check_names(config: dict[str, Any]) -> None:
    """What a config calls its stages, attacks and evaluations becomes a part of files' names, and stays in the folder.

    Raises:
        UserError: one that does not.
    """
    for part in ("stages", "attacks", "eval"):
        for name in config.get(part) or {}:
            if word(name) != str(name):
                raise UserError(f"{part}.{name}: '{name}' is no name for a file", f"Call it '{word(name)}'")


def _is_nothing(path: Path) -> bool:
    empty = path.is_dir() and not any(there.is_file() for there in path.rglob("*"))
    return path.name in BEFORE or path.name.endswith(PARTIAL) or empty


def read_config(folder: Path) -> dict[str, object]:
    """The config.yaml of a run's folder.

    Raises:
        UserError: it is no run's, or not as it was written.
    """
    path = folder / "config.yaml"
    fix = f"Restore it from a copy, or {ANEW}; nothing there was changed"
    sums.check(path, fix)
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = first_line(error)
        raise UserError(f"{path} cannot be read: {reason}", fix) from None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict) or "data" not in config:
        raise UserError(f"{path} is no run's: it has no model or no data", fix)
    return config
