"""Weights that are stored in a few bits: an adapter is trained beside them, and they themselves stay as they are.

Merging would round them anew and change what was learnt, so whatever merges, edits or trains them is refused.
"""

from __future__ import annotations

from typing import Any

from unlearnkit.errors import UserError
from unlearnkit.models.anatomy import bare

BESIDE = ("modules_to_save", "trainable_token_indices", "target_parameters")  # LoRA settings that train the base's own


def check_quantised(name: str, config: Any, lora: dict[str, Any] | None) -> None:
    """What is to be trained lies beside the weights where these are quantised.

    Args:
        config: transformers' config of the model.

    Raises:
        UserError: it does not.
    """
    if getattr(config, "quantization_config", None) is None:
        return
    own = "model.lora=null" if lora is None else next((f"model.lora.{key}" for key in BESIDE if lora.get(key)), None)
    if lora is not None and lora.get("bias", "none") != "none":
        own = f"model.lora.bias={lora['bias']}"
    if own:
        raise UserError(
            f"The weights of model '{name}' are quantised, and {own} trains them",
            "Train an adapter beside them, 'model.lora={r: 16, lora_alpha: 32, target_modules: all-linear}', or take"
            " the model's unquantised weights",
        )


def check_exact(network: Any, to: str) -> None:
    """The weights are numbers that can be read and changed.

    Args:
        to: what is to be done to them, as a participle.

    Raises:
        UserError: they are quantised.
    """
    if getattr(bare(network), "is_quantized", False):
        raise exact("the model", to)


def exact(said: str, to: str) -> UserError:
    """What `check_exact` says of a model that is called so."""
    return UserError(
        f"The weights of {said} are quantised, so that none can be {to} without being rounded anew",
        "Take the model's unquantised weights, or a method or an attack that leaves them as they are",
    )
