"""What a command says: once, whatever the number of ranks. Imports no library, for it is read before torch is."""

from __future__ import annotations

import os


def is_first() -> bool:
    """This process writes, prints and logs; True where it is the only one."""
    return os.environ.get("RANK", "0") == "0"


def notice(text: str) -> None:
    """Print a line of rank zero's."""
    if is_first():
        print(text, flush=True)
