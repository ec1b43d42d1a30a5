"""What a model computes in: one context for training, references, scoring and generation alike.

Weights keep the type that they are stored in; in bfloat16 the context is torch's autocast, which rounds the inputs
of matrix products and leaves norms and the residual stream as they are.
"""

from __future__ import annotations

import contextlib
import json
import platform
import time
from pathlib import Path
from typing import Any, Literal

import torch

from unlearnkit import ranks
from unlearnkit.cache import load_or_make
from unlearnkit.files import write

AUTO = "auto"
Dtype = Literal["auto", "bfloat16", "float32"]
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
TOKENS = 512  # rows of the measured product
GAIN = 1.2  # how much faster bfloat16 has to be: casts and norms take back a part of it


def computing(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[None]:
    """Forwards in this `with` compute in `dtype`, whatever context stands around it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def chosen(name: str, config: Any) -> torch.dtype:
    """The type that `model.dtype` names; "auto" measures this machine once for a model's shapes and says its choice.

    Args:
        config: transformers' config of the model.
    """
    if name == AUTO:
        return ranks.from_first(lambda: _measured(config))
    return DTYPES[name]


def _measured(config: Any) -> torch.dtype:
    if torch.cuda.is_available():
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        print(f"model.dtype=auto: {_name(dtype)} on {torch.cuda.get_device_name()}", flush=True)
        return dtype
    inner = getattr(config, "intermediate_size", None) or getattr(config, "ffn_dim", None) or 4 * config.hidden_size
    gain = _cached_speed(config.hidden_size, inner)
    dtype = torch.bfloat16 if gain >= GAIN else torch.float32
    print(
        f"model.dtype=auto: {_name(dtype)}, for a product of the model's shape is {gain:.2g} times as fast in bfloat16"
        f" as in float32 on this CPU",
        flush=True,
    )
    return dtype


def _cached_speed(width: int, inner: int) -> float:
    """Measured once a processor, so that a machine does not choose anew each time."""
    content = {"processor": processor(), "threads": torch.get_num_threads(), "shape": [TOKENS, width, inner]}
    content["torch"] = str(torch.__version__)
    return load_or_make(
        "speed",
        content,
        lambda folder: write(folder / "bfloat16.json", json.dumps(speed_of_bfloat16(width, inner))),
        lambda folder: float(json.loads((folder / "bfloat16.json").read_text())),
    )


def speed_of_bfloat16(width: int, inner: int) -> float:
    """How many times faster (TOKENS, width) @ (width, inner) is in bfloat16 than in float32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(TOKENS, width, dtype=dtype), torch.ones(width, inner, dtype=dtype)
        torch.mm(left, right)  # the first one sets the kernel up
        best, until = float("inf"), time.perf_counter() + 0.3
        while time.perf_counter() < until:
            started = time.perf_counter()
            torch.mm(left, right)
            best = min(best, time.perf_counter() - started)
        seconds[dtype] = best
    return seconds[torch.float32] / seconds[torch.bfloat16]


def processor() -> str:
    """The CPU's model name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
