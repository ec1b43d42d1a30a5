"""What `accelerate launch` asks for beside the command line, which no config.yaml would say."""

from __future__ import annotations

from collections.abc import Mapping

from unlearnkit.errors import UserError

ENGINES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


def check_launcher(environment: Mapping[str, str]) -> None:
    """Refuse what would change a run's numbers, or the number of its ranks, behind its config's back.

    Raises:
        UserError: mixed precision or an engine of accelerate's own; several processes asked for and one started, as
            accelerate does on a CPU without MPI.
    """
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision != "no":
        raise UserError(
            f"accelerate launch asks for mixed precision ({precision}), which no config.yaml would say",
            "Leave --mixed_precision out of the command or of accelerate's own config, and set model.dtype=bfloat16",
        )
    engine = next((name for key, name in ENGINES.items() if environment.get(key, "false").lower() == "true"), None)
    if engine:
        raise UserError(
            f"accelerate launch asks for {engine}, which no config.yaml would say",
            "Start 'torchrun --nproc_per_node N -m unlearnkit ... deepspeed=zero2' instead",
        )
    asked = "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment
    if asked and "WORLD_SIZE" not in environment:
        raise UserError(
            "accelerate launch was asked for several processes and started one",
            "Start 'torchrun --nproc_per_node N -m unlearnkit ...' or 'launch/local.sh N ...' instead",
        )
