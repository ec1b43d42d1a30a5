"""Errors a user can mend: two lines, no traceback, a non-zero exit."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import NoReturn

from unlearnkit.secrets import guard, redact

INTERRUPTED = 130  # as a shell has it
PATIENCE = 2.0  # seconds until a Ctrl-C that had no effect is sent again
_leaving = False
_pressed = False
_begun = False  # the command itself; before that its libraries are imported
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
    global _begun
    interruptible()
    _begun = True
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
        interrupt_if_pressed()
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
    if not _ready and sys.excepthook is sys.__excepthook__ and threading.current_thread() is threading.main_thread():
        sys.excepthook = _tell
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _note)
            sys.unraisablehook = _unraisable
        atexit.register(_leave)  # the first to be registered is the last to be called
    _ready = True


def interrupt_if_pressed() -> None:
    """Go on as after Ctrl-C, where an interrupted library has made another error of it."""
    if _pressed:
        raise KeyboardInterrupt from None


def interrupted(message: str = "") -> NoReturn:
    """Leave with `INTERRUPTED`, after telling of a Ctrl-C on stderr."""
    global _leaving
    _leaving = True
    if message:
        print(f"\n{message}", file=sys.stderr, flush=True)
    raise SystemExit(INTERRUPTED) from None


def _note(number: int, frame: FrameType | None) -> NoReturn:
    """A KeyboardInterrupt; while libraries are imported, which lose it or make another error of it, the end."""
    global _pressed
    _pressed = True
    if not _begun:
        os.write(2, b"\nInterrupted.\n")
        os._exit(INTERRUPTED)
    _press_again(PATIENCE)
    raise KeyboardInterrupt


def _press_again(seconds: float) -> None:
    """Libraries catch whatever is raised as they are imported; unless the process is leaving by then, once more."""

    def press() -> None:
        if not _leaving:
            os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, press)
    timer.daemon = True
    timer.start()


def _unraisable(ignored: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised in a callback of its own."""
    if ignored.exc_type is KeyboardInterrupt:
        _press_again(0.05)
    else:
        sys.__unraisablehook__(ignored)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    global _leaving
    if not (_pressed or issubclass(kind, KeyboardInterrupt)):
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


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error says first, or what it is called; secrets go before the cut, which would leave a part of one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return beginning(lines[0], most) if lines else type(error).__name__


def beginning(text: str, most: int = 200) -> str:
    """The first characters of a text that came from elsewhere; secrets go before the cut."""
    return redact(text)[:most]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name` as ` Did you mean 'x'?`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean '{close[0]}'?" if close else ""
