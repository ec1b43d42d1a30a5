"""Content by its hash: all that decides a number, and the bytes of files."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from omegaconf import DictConfig, ListConfig, OmegaConf

from unlearnkit.files import cache_folder, write

LARGE = 2**20  # bytes of a file whose digest is remembered


def digest(content: Any) -> str:
    """SHA-256 of `plain` content, in hexadecimal digits."""
    return hashlib.sha256(_text(plain(content)).encode()).hexdigest()


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True)


def plain(value: Any) -> Any:
    """Content as JSON data, in which what differs stays different: 1, 1.0, "1" and true; dataclasses of two names.

    A Path stands for what the file or the folder holds, wherever it lies; a tuple is a list; a scalar of numpy or
    torch is the Python number; the order of a dict's keys does not count.

    Raises:
        TypeError: something of a type that is not known here, for its text may leave out what decides a number.
    """
    torch = sys.modules.get("torch")
    if isinstance(value, Enum):
        return {f"!{_name(type(value))}": value.name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, DictConfig | ListConfig):
        return plain(OmegaConf.to_container(value, resolve=True))
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("!") for key in value):
            return {key: plain(part) for key, part in value.items()}
        return {"!dict": sorted(([plain(key), plain(part)] for key, part in value.items()), key=_text)}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return {"!set": sorted((plain(part) for part in value), key=_text)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {f"!{_name(type(value))}": fields}
    if isinstance(value, Path):
        return {"!path": contents_of(value) if value.exists() else None}
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray) and value.dtype != object:
        return {"!array": [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]}
    if torch is not None and isinstance(value, torch.Tensor):
        if not value.dim():
            return plain(value.item())
        raw = value.detach().cpu().contiguous().view(torch.uint8).numpy()
        return {"!tensor": [str(value.dtype), list(value.shape), hashlib.sha256(raw.tobytes()).hexdigest()]}
    if torch is not None and isinstance(value, torch.dtype | torch.device):
        return {"!torch": str(value)}
    if isinstance(value, bytes):
        return {"!bytes": value.hex()}
    if isinstance(value, functools.partial):
        return {"!partial": [plain(value.func), plain(value.args), plain(value.keywords)]}
    if isinstance(value, np.dtype):
        return {"!numpy": str(value)}
    bound = getattr(value, "__self__", None) is not None and not isinstance(value.__self__, ModuleType)
    if callable(value) and "<" not in getattr(value, "__qualname__", "<") and not bound:  # no lambda, no method
        return {"!name": _name(value)}
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} cannot decide a key of the cache: {value!r}")


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def contents_of(path: Path) -> dict[str, str]:
    """File -> digest, of a file ("") or of all files in a folder, by their paths in it; hidden ones do not count."""
    if path.is_file():
        return {"": digest_of(path)}
    names = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    return {
        name: digest_of(file)
        for name, file in sorted(names.items())
        if not any(part.startswith(".") for part in name.split("/"))
    }


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes; those of a large file are read once, and again when its size or a time has changed."""
    about = file.stat()
    if about.st_size < LARGE:
        return _sha256(file)
    what = [str(file.resolve()), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    memory = cache_folder() / "digests" / digest(what)[:32]
    with contextlib.suppress(OSError, ValueError):
        sha, check = memory.read_text(encoding="ascii").split()
        if check == digest([what, sha]):
            return sha
    begun = time.time_ns()
    sha = _sha256(file)
    if begun - max(about.st_mtime_ns, about.st_ctime_ns) > 2e9:  # a younger one could change and keep its times
        with contextlib.suppress(OSError):
            memory.parent.mkdir(exist_ok=True)
            write(memory, f"{sha} {digest([what, sha])}")
    return sha


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
