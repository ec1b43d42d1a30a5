"""Numbers out of the config."""

from __future__ import annotations

from typing import Any

from unlearnkit.errors import UserError


def check_number(key: str, value: Any, low: float, high: float, *, whole: bool = True, optional: bool = False) -> None:
    """UserError if the value is no number, or one outside `low` to `high`; `optional` allows None."""
    if value is None and optional:
        return
    if type(value) is not int and (whole or type(value) is not float) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise UserError(
            f"{key}={value} is not {kind} from {low:g} to {high:g}.",
            f"Set {key}= to one" + (", or to null" if optional else ""),
        )
