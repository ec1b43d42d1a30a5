"""Whether a file is as it was written: a folder keeps the digests of its files in SHA256SUMS.

`sha256sum -c SHA256SUMS` reads it too. A file that is written anew has both digests for the moment of its renaming,
so a process may die at any time. A file without a line (of an earlier version, or a user's own) is not checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from unlearnkit.errors import UserError

SUMS = "SHA256SUMS"
# A log grows line by line and has a sum once it is whole (`note`); a report may be made again by anyone at any time.
LOG = "log.jsonl"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_folders: list[Path] = []  # the folders in which this process notes what it writes


def keep(folder: Path) -> None:
    """Note from now on the digest of what is written whole in a folder, or below it."""
    if folder not in _folders:
        _folders.append(folder)


def let_go(folder: Path) -> None:
    """The opposite of `keep`."""
    if folder in _folders:
        _folders.remove(folder)


@contextlib.contextmanager
def renaming(path: Path, partial: Path) -> Iterator[None]:
    """`path` may have the old digest or that of `partial` during a `with`, and has the new one after it."""
    folder = next((folder for folder in _folders if path.is_relative_to(folder)), None)
    passing = any(part == "checkpoints" or part.endswith(".partial") for part in path.parts)
    if folder is None or passing or path.suffix == ".html" or path.name == LOG:
        yield
        return
    name, new, by_file = path.relative_to(folder).as_posix(), sha256(partial), read(folder)
    _write(folder, {**by_file, name: {*by_file.get(name, ()), new}})
    yield
    _write(folder, {**by_file, name: {new}})


def note(path: Path) -> None:
    """Note the digest of a file that has grown to its end."""
    for folder in _folders:
        if path.is_relative_to(folder) and path.is_file():
            _write(folder, {**read(folder), path.relative_to(folder).as_posix(): {sha256(path)}})


def seal(folder: Path) -> None:
    """Note every file that is in a folder now, but for what people read."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    _write(folder, {name: {sha256(path)} for name, path in files.items() if name not in (SUMS, "README.md")})


def read(folder: Path) -> dict[str, set[str]]:
    """File -> the digests that it may have; lines that say something else are passed over."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    by_file: dict[str, set[str]] = {}
    for line in lines:
        if match := _LINE.fullmatch(line):
            by_file.setdefault(match[2], set()).add(match[1])
    return by_file


def is_damaged(path: Path) -> bool:
    """The folder of the file, or the one above, has another digest of it; a file that is not there is no damage."""
    for folder in list(path.parents)[:2]:
        digests = read(folder).get(path.relative_to(folder).as_posix())
        if digests is not None and path.is_file():
            return sha256(path) not in digests
    return False


def check(path: Path, fix: str) -> None:
    """Refuse a file that is not as it was written, before something is made of it.

    Raises:
        UserError: it is not.
    """
    if is_damaged(path):
        raise UserError(f"{path} is damaged: it is not as it was written ({SUMS})", fix)


def _write(folder: Path, by_file: dict[str, set[str]]) -> None:
    lines = [f"{digest}  {name}\n" for name, digests in by_file.items() for digest in sorted(digests)]
    partial = folder / f"{SUMS}.{os.getpid()}.partial"
    try:
        partial.write_text("".join(lines), encoding="utf-8")
        os.replace(partial, folder / SUMS)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
