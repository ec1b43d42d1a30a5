"""Errors a user can mend: two lines, no traceback, a non-zero exit."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable

from unlearnkit.secrets import guard


class UserError(Exception):
    """What arrived and what is valid (first line); the fix, a command where there is one (second line).

    `__main__` prints both lines and exits with 2; set HYDRA_FULL_ERROR=1 to see the traceback.
    """

    def __init__(self, what: str, fix: str):
        super().__init__(what, fix)
        self.what, self.fix = what, fix

    def __str__(self) -> str:
        return f"{self.what}\n{self.fix}"


class Diverged(UserError):
    """A training came to numbers that are none."""


def speak_plainly() -> None:
    """A terminal that knows ASCII alone gets ? for what it cannot show, where a command would end in an error.

    No secret is shown to any.
    """
    for stream in (sys.stdout, sys.stderr):
        guard(stream)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def exit_code(command: Callable[[], None]) -> int:
    """0; after a `UserError` 2, its two lines on stderr, or its traceback with HYDRA_FULL_ERROR=1."""
    speak_plainly()
    try:
        command()
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error, file=sys.stderr)
        return 2
    return 0


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name` as ` Did you mean 'x'?`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean '{close[0]}'?" if close else ""
