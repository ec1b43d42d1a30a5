"""Errors a user can mend: two lines, no traceback, a non-zero exit."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NoReturn

from unlearnkit.secrets import guard

INTERRUPTED = 130  # as a shell has it
_leaving = False
_ready = False


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
    interruptible()
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


def interruptible() -> None:
    """From here on Ctrl-C is a line, no traceback, and ends the process once others have done what they do at an end.

    Python would then give the memory of torch and transformers back piece by piece, which takes seconds.
    """
    global _ready
    if not _ready and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell
        atexit.register(_leave)  # the first to be registered is the last to be called
    _ready = True


def interrupted(said: str = "") -> NoReturn:
    """Leave with `INTERRUPTED`, after telling of a Ctrl-C on stderr."""
    global _leaving
    _leaving = True
    if said:
        print(f"\n{said}", file=sys.stderr, flush=True)
    raise SystemExit(INTERRUPTED) from None


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    global _leaving
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _leaving = True
    print("\nInterrupted.", file=sys.stderr, flush=True)


def _leave() -> None:
    if not _leaving:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name` as ` Did you mean 'x'?`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean '{close[0]}'?" if close else ""
