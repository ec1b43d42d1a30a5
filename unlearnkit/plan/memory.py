r"""Memory a GPU under none, ZeRO 1 to 3 and offload (Rajbhandari et al. 2020, section 5; DeepSpeed's own estimators).

With P parameters, T of them trained, N GPUs and b bytes a 16-bit number (4 in fp32), DeepSpeed holds

==============  =====================  ====================
                ZeRO 1, 2              ZeRO 3
==============  =====================  ====================
weights         b P                    b P / N, plus those gathered
gradients       b T; ZeRO 2: b T / N   b T / N
fp32 gradients  4 T / N at the step    4 min(T / N, sub-group) at the step
optimiser       12 T / N               12 T / N (master weights, two moments)
==============  =====================  ====================

For a model that is trained whole ZeRO 2 is DeepSpeed's `estimate_zero2_model_states_mem_needs`: 2 P + 18 P / N.
Without DeepSpeed the weights keep their own types and every GPU holds all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unlearnkit.plan.sizes import Sizes
from unlearnkit.plan.trace import Peak

PARTS = ("weights", "gradients", "optimiser", "reference", "activations", "logits", "buffers", "runtime")


@dataclass(frozen=True)
class Engine:
    """How the ranks share a training.

    Args:
        stage: of ZeRO; 0: torch's DDP.
        offload_optimizer, offload_parameters: they lie in the machine's memory.
        reduce_bucket: gradients reduced at a time, in elements; twice as many where `overlap`.
        live: elements that ZeRO-3 gathers before it lets go of some.
        sub_group: elements that ZeRO-3's optimiser works on at a time.
        bf16: DeepSpeed's own bf16, True, False or "auto" (where the model computes in it).
    """

    name: str
    stage: int = 0
    offload_optimizer: bool = False
    offload_parameters: bool = False
    reduce_bucket: int = 500_000_000
    overlap: bool = False
    live: int = 1_000_000_000
    sub_group: int = 1_000_000_000
    bf16: Any = "auto"

    @classmethod
    def read(cls, name: str, config: dict[str, Any] | None) -> Engine:
        """From a DeepSpeed config (`conf/deepspeed`); what it leaves out or calls "auto" is DeepSpeed's default."""
        zero = (config or {}).get("zero_optimization") or {}

        def number(key: str, default: int) -> int:
            return default if zero.get(key, "auto") == "auto" else int(float(zero[key]))

        def offloaded(key: str) -> bool:
            return ((zero.get(key) or {}).get("device") or "none") != "none"

        return cls(
            name,
            int(zero.get("stage", 0)),
            offloaded("offload_optimizer"),
            offloaded("offload_param"),
            number("reduce_bucket_size", cls.reduce_bucket),
            bool(zero.get("overlap_comm", False)),
            number("stage3_max_live_parameters", cls.live),
            number("sub_group_size", cls.sub_group),
            ((config or {}).get("bf16") or {}).get("enabled", False) if zero else "auto",
        )

    def computes_in_bf16(self, wanted: bool) -> bool:
        """DeepSpeed casts the whole model to bf16."""
        return self.stage > 0 and (wanted if self.bf16 == "auto" else bool(self.bf16))


@dataclass(frozen=True)
class Usage:
    """Bytes a GPU at the moments of a training, by part.

    Args:
        moments: loading, backward, step and handing back, as far as the engine has them.
        host: bytes of the machine's memory that one GPU's share of what is offloaded takes.
    """

    moments: dict[str, dict[str, int]]
    host: int = 0

    @property
    def totals(self) -> dict[str, int]:
        return {when: sum(parts.values()) for when, parts in self.moments.items()}

    @property
    def when(self) -> str:
        """The fullest moment."""
        totals = self.totals
        return max(totals, key=lambda moment: totals[moment])

    @property
    def total(self) -> int:
        return max(self.totals.values())


@dataclass(frozen=True)
class Demand:
    """What a training asks for, whatever the engine.

    Args:
        reference: parameters of a frozen second copy, of the model or of its adapter; 0: none is needed.
        reference_bytes: what they take in the types they are loaded in.
        moments: the optimiser's fp32 numbers a trained parameter; 2 for AdamW.
        runtime: bytes a GPU beside tensors.
    """

    sizes: Sizes
    reference: int = 0
    reference_bytes: int = 0
    moments: int = 2
    runtime: int = 0
    bf16: bool = True


def usage(demand: Demand, engine: Engine, gpus: int, full: Peak, bare: Peak) -> Usage:
    """The fullest moment of a training on each of `gpus` GPUs.

    Args:
        full, bare: of a step, with gradients and without (`trace.peaks`), in the engine's precision.
    """
    moments, host = _plain(demand, gpus, full) if engine.stage == 0 else _zero(demand, engine, gpus, full, bare)
    every = {when: {**dict.fromkeys(PARTS, 0), **parts, "runtime": demand.runtime} for when, parts in moments.items()}
    return Usage({when: {part: int(size) for part, size in parts.items()} for when, parts in every.items()}, int(host))


def _plain(demand: Demand, gpus: int, full: Peak) -> tuple[dict[str, dict[str, float]], float]:
    sizes = demand.sizes
    held: dict[str, float] = {
        "weights": sizes.weights,
        "reference": demand.reference_bytes,
        "optimiser": demand.moments * sizes.trained_bytes,
        "buffers": sizes.trained_bytes if gpus > 1 else 0,  # DDP's buckets are a second copy of the gradients
    }
    backward = {"gradients": full.gradients, "activations": full.activations, "logits": full.logits}
    return {
        "loading": {"weights": sizes.weights, "reference": demand.reference_bytes},
        "backward": {**held, **backward},
        "step": {**held, "gradients": sizes.trained_bytes},
    }, 0


def _zero(
    demand: Demand, engine: Engine, gpus: int, full: Peak, bare: Peak
) -> tuple[dict[str, dict[str, float]], float]:
    sizes, trained = demand.sizes, demand.sizes.trainable
    width = 2 if engine.computes_in_bf16(demand.bf16) else 4
    share = trained / gpus
    masters = (4 + 4 * demand.moments) * share
    parted = engine.stage == 3
    weights, reference = width * sizes.parameters, width * demand.reference
    if parted:
        weights, reference = (0 if engine.offload_parameters else part / gpus for part in (weights, reference))  # type: ignore[assignment]
    held: dict[str, float] = {
        "weights": weights,
        "reference": reference,
        "optimiser": 0 if engine.offload_optimizer else masters,
    }
    bucket = width * min(engine.reduce_bucket, trained) * (2 if engine.overlap else 1)
    gathered = width * min(sizes.parameters, max(engine.live, sizes.largest)) if parted else 0
    kept = 0 if engine.offload_optimizer else width * share
    peak = full if engine.stage == 1 else bare
    backward = {
        **held,
        "gradients": full.gradients if engine.stage == 1 else kept,
        "activations": peak.activations,
        "logits": peak.logits,
        "buffers": bucket + gathered,
    }
    own = width * trained if engine.stage == 1 else kept
    in_fp32 = 0 if engine.offload_optimizer else 4 * (min(share, engine.sub_group) if parted else share)
    # The run's own model is loaded whole before it is divided, and gets its weights back whole (`ranks/zero.py`).
    whole = sizes.weights if parted else sizes.trained_bytes
    moments: dict[str, dict[str, float]] = {
        "loading": {"weights": sizes.weights, "reference": demand.reference_bytes},
        "backward": backward,
        "step": {**held, "gradients": own + in_fp32},
        "handing back": {**held, "weights": weights + whole},
    }
    host = (masters + 4 * share) * engine.offload_optimizer
    host += width * (sizes.parameters + demand.reference) / gpus * engine.offload_parameters
    return moments, host
