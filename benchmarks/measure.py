"""Peak memory and the machine's own matmul rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


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


def flops(step: Callable[[], object]) -> int:
    """Floating-point operations of what `step` does: its matmuls and attention, causal or not."""
    with FlopCounterMode(display=False, custom_mapping=_ATTENTION) as counter:
        step()
    return counter.get_total_flops()


def _attention(query: Any, key: Any, *_: Any, **__: Any) -> int:
    """Of shapes (B, heads, T, head_dim): queries with keys, and with values, 2 FLOPs each."""
    batch, heads, length, width = query
    return 4 * batch * heads * length * key[2] * width


def _attention_backward(_grad: Any, query: Any, key: Any, *_: Any, **__: Any) -> int:
    """Five such products where the forward pass has two, one of them its scores made again."""
    return _attention(query, key) * 5 // 2


# The counter's own formulas leave a CPU's kernel out and, before torch 2.13, refuse fewer key heads than query heads.
_KERNELS = ("efficient_attention", "flash_attention", "cudnn_attention", "flash_attention_for_cpu")
_ATTENTION = {
    getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}{way}"): formula
    for kernel in _KERNELS
    for way, formula in (("", _attention), ("_backward", _attention_backward))
}
