"""JSON as data files have it: an object that says a key twice is none, where Python would take the last in silence."""

from __future__ import annotations

import json
import json.scanner
from typing import Any


class DoubledKey(json.JSONDecodeError):
    """An object has two values of one key; its place is that of the object."""


class _Twice(Exception):
    """The same, without a place."""


def loads(text: str | bytes) -> Any:
    """`json.loads`, of UTF-8.

    Raises:
        json.JSONDecodeError: no JSON; a `DoubledKey`.
        UnicodeDecodeError: no UTF-8.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _Twice:
        return _Placed().decode(text)


def raw_decode(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends; errors as of `loads`."""
    try:
        return json.JSONDecoder(object_pairs_hook=_once).raw_decode(text, start)
    except _Twice:
        return _Placed().raw_decode(text, start)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return held


class _Placed(json.JSONDecoder):
    """Tells where an object with a doubled key begins; in Python alone, and so slow."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_once)
        whole = json.decoder.JSONObject  # type: ignore[attr-defined]

        def parse(place: tuple[str, int], *rest: Any) -> tuple[Any, int]:
            try:
                return whole(place, *rest)  # type: ignore[no-any-return]
            except _Twice as error:
                raise DoubledKey(f"the key '{error}' stands twice in one object", place[0], place[1] - 1) from None

        self.parse_object = parse
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]
