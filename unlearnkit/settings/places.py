"""Folders that no two commands share, and words that can be a part of their names."""

from __future__ import annotations

import functools
import itertools
import re
import sys
from pathlib import Path

SHOWS = ("--cfg", "-c", "--info", "-i", "--help", "--hydra-help")  # commands that make nothing


def word(text: object) -> str:
    """A text as a part of a folder's name."""
    return re.sub(r"[^\w.=+-]+", "-", str(text)).strip(".-") or "model"


@functools.cache
def unused(folder: str) -> str:
    """The folder, made by this process alone; where it is there already, the first of FOLDER-2, FOLDER-3, ...

    A process gets the same answer each time it asks.

    Raises:
        OSError: it cannot be made.
    """
    if set(SHOWS) & {argument.partition("=")[0] for argument in sys.argv[1:]}:
        return folder
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    names = itertools.chain([folder], (f"{folder}-{number}" for number in itertools.count(2)))
    return next(name for name in names if _made(name))


def _made(folder: str) -> bool:
    try:
        Path(folder).mkdir()
    except FileExistsError:
        return False
    return True


def remove_empty(folder: Path) -> None:
    """Take away a folder that nothing was written to, and the one that it alone is in."""
    for place in (folder, folder.parent):
        try:
            place.rmdir()
        except OSError:
            return
