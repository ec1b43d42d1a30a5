"""Peak memory and the machine's own matmul rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resident() -> int:
    """Bytes of anonymous memory this process holds (mapped files, which the system can drop, are left out)."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise OSError("no RssAnon in /proc/self/status")


class Peak:
    """The largest `resident()` seen inside the `with`, sampled every 5 ms."""

    bytes = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Sample memory in a thread for the length of a `with`."""
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak.bytes = max(peak.bytes, resident())
            time.sleep(0.005)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def matmul_rate(dtype: torch.dtype, size: int = 1024, seconds: float = 1.0, device: str = "cpu") -> float:
    """FLOP/s of a square matmul."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    torch.mm(left, right)
    wait()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(8 if device == "cuda" else 1):  # a GPU works through a queue
            torch.mm(left, right)
            count += 1
        wait()
    return count * 2 * size**3 / (time.perf_counter() - started)
