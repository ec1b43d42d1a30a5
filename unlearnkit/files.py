"""Files that other processes may read or make: written whole or not at all, made by one process at a time."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unlearnkit.errors import UserError


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


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path to write in a `with`, renamed to `path` at its end: a reader sees all or what was there."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, text: str, errors: str = "strict") -> None:
    """Write a text file `whole`; `errors` as `str.encode` has it."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=errors)


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


@contextlib.contextmanager
def only_one(lock: Path, waiting: str) -> Iterator[None]:
    """One process at a time; a killed one's lock is free again.

    Args:
        waiting: what is printed where another process holds it; "" for nothing.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        if waiting:
            print(waiting, flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()
