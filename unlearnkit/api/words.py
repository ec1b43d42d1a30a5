"""Keywords as the command line's words, and rows in memory as files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnkit.cache import load_or_make
from unlearnkit.data.sources import check_names
from unlearnkit.errors import UserError, beginning, first_line
from unlearnkit.files import write
from unlearnkit.settings.yaml import ADDED, groups

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")  # needs no quotes, and is no number
RESERVED = re.compile(r"null|true|false|nan|inf|none", re.IGNORECASE)  # Hydra takes these for something else than text
ROWS = "rows.jsonl"


def words_of(words: Sequence[str], keywords: Mapping[str, Any]) -> list[str]:
    """The command line of `unlearn(*words, **keywords)`.

    `method="npo"` is `+method=npo`. Two underscores stand for a dot, and a mapping sets what is below its key:
    `data__forget="F"`, `data={"forget": "F"}` and `**{"data.forget": "F"}` are `data.forget=F`.

    Raises:
        UserError: what is no word, or a value that no config can hold.
    """
    if wrong := next((word for word in words if not isinstance(word, str)), None):
        raise UserError(f"{wrong!r} is no word of the command line", "Write 'KEY=VALUE', or give it as a keyword")
    line = list(words)
    for name, value in keywords.items():
        line += _of(name.replace("__", "."), value)
    return line


def _of(key: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and key in groups():
        return [word for name, part in value.items() for word in _of(f"{key}.{name}", part)]
    if key.startswith("data.") and (rows := _rows(key, value)) is not None:
        value = rows
    group = key in groups()
    return [f"{'+' if key in ADDED else ''}{key}={_names(value) if group else written(value, key)}"]


def _names(value: Any) -> str:
    """An option of a group, or several."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


def written(value: Any, key: str) -> str:
    """A value as Hydra's grammar has it, so that it is read as what it was.

    Raises:
        UserError: it is no text, number, list or mapping.
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, Path):
        return written(str(value), key)
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and not RESERVED.fullmatch(value):
            return value
        return "'" + re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), value) + "'"
    if isinstance(value, int | float) and (isinstance(value, int) or math.isfinite(value)):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(written(one, key) for one in value)}]"
    if isinstance(value, Mapping) and all(isinstance(name, str) and PLAIN.fullmatch(name) for name in value):
        return "{" + ",".join(f"{name}:{written(one, key)}" for name, one in value.items()) + "}"
    raise UserError(
        f"{key} is {beginning(str(value), 60)!r} ({type(value).__name__}), which no config can hold",
        "Give text, a number, True, False, None, a list of these, or a mapping with plain names",
    )


def _rows(key: str, value: Any) -> str | None:
    """The file of rows that are given as they are; None for anything else, such as a file's name.

    Raises:
        UserError: rows that are no mappings, or hold what is no JSON.
    """
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a pandas frame
        check_names(key, list(value.columns))
        value = value.astype(object).where(value.notna(), None).to_dict("records")  # an empty cell is no text
    if isinstance(value, str | Path | Mapping) or not isinstance(value, Iterable):
        return None
    rows = list(value)
    if not rows and isinstance(value, list | tuple):
        raise UserError(f"{key} is an empty list", "Give at least one row, such as {'prompt': ..., 'response': ...}")
    if not rows or not isinstance(rows[0], Mapping):
        return None
    try:
        lines = [json.dumps(dict(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
    except (TypeError, ValueError) as error:
        fix = "Give rows as mappings of text, such as {'prompt': ..., 'response': ...}"
        raise UserError(f"{key} holds a row that is no JSON: {first_line(error, 120)}", fix) from None

    def make(folder: Path) -> None:
        write(folder / ROWS, "".join(lines))

    return str(load_or_make("rows", lines, make, lambda folder: folder / ROWS))
