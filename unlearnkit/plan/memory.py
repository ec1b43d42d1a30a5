r"""Memory a GPU under none, ZeRO 1 to 3 and offload (Rajbhandari et al. 2020, section 5; DeepSpeed's own estimators).

With P parameters in b bytes each as they are stored, T of them trained in t bytes each, and N GPUs, DeepSpeed holds

==============  =====================  ====================
                ZeRO 1, 2              ZeRO 3
==============  =====================  ====================
weights         b P                    b P / N, plus those gathered
gradients       t T; ZeRO 2: t T / N   t T / N
fp32 gradients  4 T / N at the step    4 min(T / N, sub-group) at the step
optimiser       12 T / N               12 T / N (master weights, two moments)
==============  =====================  ====================

With b = t = 2 ZeRO 2 is DeepSpeed's `estimate_zero2_model_states_mem_needs`: 2 P + 18 P / N. Weights keep their own
types under every engine (`ranks/zero.py`); what is sent of them is in the type that is computed in. Without DeepSpeed
every GPU holds all of it.
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
    """

    name: str
    stage: int = 0
    offload_optimizer: bool = False
    offload_parameters: bool = False
    reduce_bucket: int = 500_000_000
    overlap: bool = False
    live: int = 1_000_000_000
    sub_group: int = 1_000_000_000

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
        )


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
        bf16: what is computed in.
    """

    sizes: Sizes
    reference: int = 0
    reference_bytes: int = 0
    moments: float = 2
    runtime: int = 0
    bf16: bool = True


def usage(demand: Demand, engine: Engine, gpus: int, full: Peak, bare: Peak) -> Usage:
    """The fullest moment of a training on each of `gpus` GPUs.

    Args:
        full, bare: of a step, with gradients and without (`trace.peaks`).
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
    sent = 2 if demand.bf16 else 4  # bytes a number that ranks send one another
    share, own_share = trained / gpus, sizes.trained_bytes / gpus
    masters = (4 + 4 * demand.moments) * share
    parted = engine.stage == 3
    weights, reference = sizes.weights, demand.reference_bytes
    if parted:
        weights, reference = (0 if engine.offload_parameters else part / gpus for part in (weights, reference))  # type: ignore[assignment]
    held: dict[str, float] = {
        "weights": weights,
        "reference": reference,
        "optimiser": 0 if engine.offload_optimizer else masters,
    }
    bucket = sent * min(engine.reduce_bucket, trained) * (2 if engine.overlap else 1)
    gathered = sent * min(sizes.parameters, max(engine.live, sizes.largest)) if parted else 0
    kept = 0 if engine.offload_optimizer else own_share
    peak = full if engine.stage == 1 else bare
    backward = {
        **held,
        "gradients": full.gradients if engine.stage == 1 else kept,
        "activations": peak.activations,
        "logits": peak.logits,
        "buffers": bucket + gathered,
    }
    own = sizes.trained_bytes if engine.stage == 1 else kept
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
    host += (sizes.weights + demand.reference_bytes) / gpus * engine.offload_parameters
    return moments, host
