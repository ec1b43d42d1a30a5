"""The most memory held: of the GPU where there is one, else of this process."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_largest = 0  # seen before the last `reset_peak`


def peak_memory() -> int:
    """Bytes, since the process began."""
    return max(_largest, peak_since_reset())


def peak_since_reset() -> int:
    """Bytes, since the last `reset_peak` (since the process began where the system cannot reset its own count)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def reset_peak() -> None:
    """Begin to count anew; `peak_memory` remembers what was."""
    global _largest
    _largest = peak_memory()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif _CLEAR.exists():
        try:
            _CLEAR.write_text("5")  # sets VmHWM to what is held now: man 5 proc
        except OSError:
            pass


def settle() -> None:
    """What a command has imported stays to its end: the collector looks at it no more.

    A look through it takes 0.3 s of a CPU, and each attack on weights asks for several. Not for somebody's notebook,
    whose own objects may be given back later.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


def release() -> None:
    """Give back what is free: a C library keeps much of it, which the next copy would lie beside."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
