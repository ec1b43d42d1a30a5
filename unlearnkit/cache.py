"""What was computed once is kept by all that decided it, found again whole, and made anew where it is damaged."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from unlearnkit.content import contents_of, digest, plain
from unlearnkit.errors import UserError
from unlearnkit.files import cache_folder, only_one, partial_of, write

Made = TypeVar("Made")

FORM = 3  # raise it when something of the same content would come out differently
ENTRY = "entry.json"  # in each entry: what it is, and the digest of every file
LONG = 2_000  # characters of a part of the content that `ENTRY` has as a digest
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def load_or_make(
    kind: str,
    content: Any,
    make: Callable[[Path], object],
    read: Callable[[Path], Made],
    together: bool = False,
    waiting: str | None = None,
    root: Path | None = None,
) -> Made:
    """What `read` finds in the folder that `make` filled for this content, now or at an earlier time.

    One process makes it and the others wait. An entry that is not as it was written is made anew, and that is said.
    Rank zero makes and reads, and gives the other ranks what it read.

    Args:
        kind: its room in the cache.
        content: all that decides it; see `plain` for what may be in it.
        make: fills an empty folder; called where there is no whole entry.
        together: every rank calls `make`, for it shares its work among them; the folder is rank zero's to write.
        waiting: what is printed where another process makes it; "" for nothing.
        root: in place of `cache_folder`.

    Raises:
        UserError: the cache cannot be written.
    """
    ranks = sys.modules.get("unlearnkit.ranks")  # torch comes with it; where nobody needs it there is one process
    from_first: Callable[[Callable[[], Any]], Any] = ranks.from_first if ranks else lambda work: work()
    first = ranks is None or ranks.is_first()
    entry, key = from_first(lambda: _place(kind, content, root))
    if from_first(lambda: _fault(entry, key)) is not None:
        lock = entry.with_name(f"{entry.name}.lock")
        if waiting is None:
            waiting = f"Another process is making {kind} {entry.name}; waiting for it ..."
        with _writable(entry, root), only_one(lock, waiting) if first else contextlib.nullcontext():
            fault = from_first(lambda: _fault(entry, key))  # now that rank zero has the lock
            if fault is not None:
                partial = from_first(lambda: _cleared(entry, fault))
                try:
                    if together:
                        make(partial)
                    about = {"kind": kind, "key": key, "content": content}
                    from_first(lambda: _publish(partial, entry, about, None if together else make))
                finally:
                    if first:
                        shutil.rmtree(partial, ignore_errors=True)
            if first:
                lock.unlink(missing_ok=True)  # who waits for it finds the entry
    return from_first(lambda: read(entry))


def find_entry(kind: str, content: Any, root: Path | None = None) -> Path | None:
    """The folder of a whole entry; None where there is none."""
    entry, key = _place(kind, content, root)
    return entry if _fault(entry, key) is None else None


def place(kind: str, content: Any) -> Path:
    """Where the entry lies or would lie, for files that must name it."""
    return _place(kind, content, None)[0]


def _place(kind: str, content: Any, root: Path | None) -> tuple[Path, str]:
    key = digest([FORM, kind, content])
    return (root or cache_folder()) / kind / key[:32], key


def _fault(entry: Path, key: str) -> str | None:
    """Why it is no whole entry of this key, "" where there is nothing; None for a whole one."""
    if not os.path.lexists(entry):
        return ""
    try:
        about = json.loads((entry / ENTRY).read_text(encoding="utf-8"))
        if about["key"] != key:
            return "it is another's"
        files = {name: sha for name, sha in contents_of(entry).items() if name != ENTRY}
        if files == about["files"]:
            return None
        changed = {name for name, _ in files.items() ^ about["files"].items()}
        return f"{min(changed)} is not as it was written"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"{ENTRY} cannot be read"


def _cleared(entry: Path, fault: str) -> Path:
    """An empty folder beside an entry's place, without what a killed process or a damage left there."""
    if fault:
        print(f"The cache's {entry} is damaged ({fault}); it is made anew", flush=True)
    for left in entry.parent.glob(f"{entry.name}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)
    partial = partial_of(entry)
    partial.mkdir()
    return partial


def _publish(partial: Path, entry: Path, about: dict[str, Any], make: Callable[[Path], object] | None) -> None:
    """Put the folder, which `make` fills if it is not full yet, in the entry's place, in one step."""
    if make is not None:
        make(partial)
    about = {**about, "content": _short(plain(about["content"])), "files": contents_of(partial)}
    write(partial / ENTRY, json.dumps(about, indent=1))
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
    partial.rename(entry)


@contextlib.contextmanager
def _writable(entry: Path, root: Path | None) -> Iterator[None]:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        ours = error.filename is not None and entry.parts[:-2] == Path(error.filename).parts[: len(entry.parts) - 2]
        if not ours and (error.filename is not None or error.errno not in FULL):
            raise  # a library's, or of a file that is read to make the entry
        other = "the setting cache=FOLDER" if root else "UNLEARNKIT_CACHE=FOLDER"
        raise UserError(
            f"The cache {entry.parent} cannot be written: {error.strerror or error}",
            f"Free some space there and run again, or choose another folder with {other}",
        ) from error


def _short(content: Any) -> Any:
    """Content for people: its long parts as digests."""
    if not isinstance(content, dict):
        return content if len(json.dumps(content)) <= LONG else f"sha256 {digest(content)}"
    return {key: _short(part) for key, part in content.items()}
