"""Peak memory and the machine's own matmul rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.attention.varlen  # its operators
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


def _varlen(query: Any, _key: Any, _value: Any, query_ends: Any, key_ends: Any, *_: Any, **__: Any) -> int:
    """Of (T, heads, head_dim) queries in sequences."""
    pairs = zip(query_ends.diff().tolist(), key_ends.diff().tolist(), strict=True)
    return 4 * query.shape[1] * query.shape[2] * sum(asked * seen for asked, seen in pairs)


def _varlen_backward(
    _grad: Any,
    query: Any,
    key: Any,
    value: Any,
    _out: Any,
    _lse: Any,
    query_ends: Any,
    key_ends: Any,
    *_: Any,
    **__: Any,
) -> int:
    return _varlen(query, key, value, query_ends, key_ends) * 5 // 2


_varlen._get_raw = _varlen_backward._get_raw = True  # type: ignore[attr-defined]  # tensors, not their shapes

# The counter's own formulas leave a CPU's kernel out and, before torch 2.13, refuse fewer key heads than query heads.
_KERNELS = ("efficient_attention", "flash_attention", "cudnn_attention", "flash_attention_for_cpu")
_ATTENTION = {
    getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}{way}"): formula
    for kernel in _KERNELS
    for way, formula in (("", _attention), ("_backward", _attention_backward))
}
_ATTENTION[torch.ops.torch_attn._varlen_attn] = _varlen
_ATTENTION[torch.ops.torch_attn._varlen_attn_backward] = _varlen_backward
