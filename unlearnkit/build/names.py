"""The names or titles to build a data set from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unlearnkit.build.parse import fold
from unlearnkit.errors import UserError


def read_names(setting: Any) -> list[str]:
    """A list, or the lines of a text file; blank lines are skipped.

    Raises:
        UserError: nothing given, no such file, no name in it, or a name twice (whatever the case and the spacing).
    """
    if setting is None:
        raise UserError(
            "No names are given.", "Add names=FILE, one name or title a line, or names=['A Name','Another']"
        )
    entries = [_text(name) for name in setting] if isinstance(setting, list) else _lines(str(setting))
    names = [name for name in entries if name]
    if not names:
        raise UserError(f"names={setting} holds no name.", "Write one name or title a line")
    seen: dict[str, str] = {}
    for name in names:
        if fold(name) in seen:
            raise UserError(f"names has '{name}' twice.", "Leave it once, or tell the two apart")
        seen[fold(name)] = name
    return names


def _text(name: Any) -> str:
    # a title such as 1984 reaches us as a number
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        raise UserError(f"names has {name!r}, which is no text.", "Put it in quotes: names='[\"True\"]'")
    return " ".join(str(name).split())


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"names={path} cannot be read: {error.strerror or error}",
            f"Give a text file, one name or title a line; a single name is names=['{path}']",
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"names={path} is not UTF-8.", "Save it as UTF-8, one name or title a line") from None
    return [" ".join(line.split()) for line in text.split("\n")]
