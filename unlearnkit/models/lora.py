"""LoRA's settings, known to be wrong before any weights are read."""

from __future__ import annotations

import re
from typing import Annotated, Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from unlearnkit.errors import UserError, first_line, nearest
from unlearnkit.settings.bounds import Arguments, Bound

Lora = Annotated[
    dict[str, Any] | None,
    Arguments(
        "peft.tuners.lora.config.LoraConfig",
        but={
            "task_type": "Leave it out: every model here is a causal language model",
            "peft_type": "Leave it out: it is LORA",
            "inference_mode": "Leave it out: an adapter here is trained",
            "base_model_name_or_path": "Leave it out: the adapter is over the model itself",
        },
        bounds={
            "r": Bound(1),
            "lora_alpha": Bound(0, above=True),
            "lora_dropout": Bound(0, 1, below=True),
        },
    ),
]


def check_targets(config: Any, lora: dict[str, Any]) -> None:
    """Lay the adapter over a model without weights.

    Args:
        config: transformers' config of the model.

    Raises:
        UserError: modules that the architecture does not have, a rank that no matrix of it has, or settings that PEFT
            refuses.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        _check_rank(model, lora)
        get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora), low_cpu_mem_usage=True)
    except UserError:
        raise
    except (ValueError, TypeError, re.error) as error:
        linear = {name.rpartition(".")[2] for name, part in model.named_modules() if hasattr(part, "weight")}
        targets = lora.get("target_modules")
        names = [targets] if isinstance(targets, str) else list(targets or ())
        unknown = next((name for name in names if name not in linear and name != "all-linear"), None)
        if unknown is not None and "not found" in str(error):
            raise UserError(
                f"model.lora.target_modules={unknown}: the model has no such module.{nearest(unknown, linear)}",
                f"Set model.lora.target_modules= to all-linear, or to some of {', '.join(sorted(linear))}",
            ) from error
        raise UserError(
            f"model.lora: {first_line(error)}", "Set model.lora.KEY= to what peft.LoraConfig takes"
        ) from error
    except Exception:  # of what cannot be laid over a model without weights: the model itself will tell
        return


def _check_rank(model: Any, lora: dict[str, Any]) -> None:
    widest = max(size for weight in model.parameters() for size in weight.shape)
    ranks = {"r": lora.get("r"), **{f"rank_pattern.{name}": r for name, r in (lora.get("rank_pattern") or {}).items()}}
    for key, rank in ranks.items():
        if isinstance(rank, int) and rank > widest:
            raise UserError(
                f"model.lora.{key}={rank} is more than any matrix of the model has: {widest}",
                "Set a rank as papers have it, 8 to 256",
            )
