"""What reads the keys of a DeepSpeed config: DeepSpeed, whose names are read from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unlearnkit.settings.fits import Fault

# DeepSpeed's other sections, each of which a module of its own reads.
SECTIONS = {
    *("zero_optimization", "activation_checkpointing", "flops_profiler", "comms_logger", "aio", "elasticity"),
    *("autotuning", "compression_training", "data_efficiency", "data_types", "checkpoint", "compile", "monitor"),
    *("tensorboard", "csv_monitor", "comet", "wandb", "nebula", "hybrid_engine", "tensor_parallel", "timers"),
}


def faults_of_engine(engine: Mapping[str, Any], key: str = "deepspeed") -> Iterator[Fault]:
    """Keys that DeepSpeed does not know, and ZeRO's stage where it is missing or none of 0 to 3."""
    if not engine:
        return
    zero = engine.get("zero_optimization")
    if not isinstance(zero, Mapping) or zero.get("stage") not in (0, 1, 2, 3) or isinstance(zero["stage"], bool):
        yield Fault(f"{key}.zero_optimization.stage", "is missing", "0, 1, 2 or 3, or choose an engine with deepspeed=")
        return
    from deepspeed.runtime import constants
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    texts = {value for name, value in vars(constants).items() if name.isupper() and isinstance(value, str)}
    known = {text for text in texts if text.isidentifier()} | SECTIONS
    fields = DeepSpeedZeroConfig.model_fields
    of_zero = {name for field, about in fields.items() for name in (field, about.alias or field)}
    for name in engine:
        if name not in known:
            yield Fault(f"{key}.{name}", "", valid=tuple(sorted(known)), unknown=True)
    for name in zero:
        if name not in of_zero:
            yield Fault(f"{key}.zero_optimization.{name}", "", valid=tuple(sorted(of_zero)), unknown=True)
