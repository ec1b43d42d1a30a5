"""Files that other processes may read or make: written whole or not at all, made by one process at a time."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unlearnkit import sums
from unlearnkit.errors import UserError
from unlearnkit.secrets import without_known

PARTIAL = ".partial"  # the end of a name that a process writes to before it is the real one


def cache_folder() -> Path:
    """Where converted models, judgements and the like are kept: $UNLEARNKIT_CACHE or ~/.cache/unlearnkit.

    Raises:
        UserError: it cannot be made.
    """
    folder = Path(os.environ.get("UNLEARNKIT_CACHE", "~/.cache/unlearnkit")).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache {folder} cannot be made: {error.strerror or error}",
            "Choose another folder with UNLEARNKIT_CACHE=FOLDER",
        ) from error
    return folder


def partial_of(path: Path) -> Path:
    """The name that this process writes to before it is the real one."""
    return path.with_name(f"{path.name}.{_node()}-{os.getpid()}-{threading.get_ident()}{PARTIAL}")


def sweep(folder: Path) -> None:
    """Take away what processes of this machine that are dead now left half-written in a folder of folders."""
    for path in (*folder.glob(f"*{PARTIAL}"), *folder.glob(f"*/*{PARTIAL}")):
        owner = re.search(rf"\.{re.escape(_node())}-(\d+)-\d+{re.escape(PARTIAL)}$", path.name)
        if owner and not Path(f"/proc/{owner[1]}").exists() and Path("/proc/self").exists():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _node() -> str:
    return re.sub(r"\W", "-", platform.node())


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path to write in a `with`, renamed to `path` at its end: a reader sees all or what was there.

    In a folder that keeps sums (`unlearnkit.sums`) the file's digest is noted before it is there.
    """
    partial = partial_of(path)
    try:
        yield partial
        with sums.renaming(path, partial):
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, text: str, errors: str = "strict") -> None:
    """Write a text file `whole`, with no secret that is known; `errors` as `str.encode` has it."""
    with whole(path) as partial:
        partial.write_text(without_known(text), encoding="utf-8", errors=errors)


def writable(text: str) -> bool:
    """Text of whole characters; half of a pair, a lone surrogate, no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_numbers(path: Path, content: Any) -> None:
    """Write JSON in which a float that is no number is null: JSON has none, and readers take null for unknown.

    Raises:
        ValueError: an infinite one, which no number that is measured may be.
    """
    write(path, json.dumps(without_nan(content), indent=1, allow_nan=False))


def without_nan(content: Any) -> Any:
    """The same with null for every NaN."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def held(lock: Path) -> bool:
    """Some process is in `only_one` with this lock now."""
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # it may not be written by us
        return False


@contextlib.contextmanager
def only_one(lock: Path, waiting: str) -> Iterator[None]:
    """One process at a time; a killed one's lock is free again.

    Args:
        waiting: what is printed where another process holds it; "" for nothing.
    """
    file_lock = FileLock(lock)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            print(waiting, flush=True)
        file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()
