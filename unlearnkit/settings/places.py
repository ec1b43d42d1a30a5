"""Folders that no two commands share, and words that can be a part of their names."""

from __future__ import annotations

import functools
import itertools
import re
import sys
from pathlib import Path

SHOWS = ("--cfg", "-c", "--info", "-i", "--hydra-help")  # commands that make nothing
CONFIG = "config.yaml"  # what a run writes first
BEGUN = (CONFIG, "SHA256SUMS", ".owner.lock")  # what a run writes before it computes anything
_claims = False


def claim_folders() -> None:
    """From now on `unused` makes what it names: this process is a command that writes there."""
    global _claims
    _claims = True


def word(text: object) -> str:
    """A text as a part of a folder's name."""
    return re.sub(r"[^\w.=+-]+", "-", str(text)).strip(".-") or "model"


@functools.cache
def unused(folder: str) -> str:
    """The folder, made by this process alone; where it is there already, the first of FOLDER-2, FOLDER-3, ...

    A process gets the same answer each time it asks. One that has not said `claim_folders` only gets a name.

    Raises:
        OSError: it cannot be made.
    """
    if not _claims or set(SHOWS) & {argument.partition("=")[0] for argument in sys.argv[1:]}:
        return folder
    return claim(folder)


def claim(folder: str) -> str:
    """The same, made anew at each call, whatever the process is."""
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
    """Take away a run's folder that nothing was written to, and those that were made for it alone."""
    if Path.cwd().is_relative_to(folder.absolute()):  # no folder was asked for
        return
    above = folder.parent.parent
    for place in (folder, folder.parent, *([above] if above.name == "outputs" else [])):
        try:
            place.rmdir()
        except OSError:
            return


def remove_unbegun(folder: Path) -> None:
    """Take away what a run wrote that was refused before it computed anything: its config and empty folders."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    if folder / CONFIG not in files or not {folder / name for name in BEGUN}.issuperset(files):
        return
    for path in files:
        path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
