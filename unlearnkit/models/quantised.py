"""Weights that are stored in a few bits: an adapter is trained beside them, and they themselves stay as they are.

They come so, or `model.quantise` rounds them as they are loaded (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).
Merging would round them anew and change what was learnt, so whatever merges, edits or trains them is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import PreTrainedConfig
from transformers.utils import is_bitsandbytes_available, is_optimum_quanto_available, is_torchao_available

from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.models.anatomy import bare

Quantise = Literal["nf4"] | None
BESIDE = ("modules_to_save", "trainable_token_indices", "target_parameters")  # LoRA settings that train the base's own
BITSANDBYTES = "BitsAndBytesConfig"
ROUNDED = "rounded.json"  # in an adapter's folder: how the weights beside it were rounded at loading
SCALES = re.compile(r"\b(qweight|qzeros|scales|absmax|SCB|quant_map|weight_scale|weight_scale_inv|scale_weight)$")
NF4 = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}


@dataclass(frozen=True)
class Way:
    """One of transformers' quantisations.

    Args:
        package: that it needs.
        installed: whether that is there.
        arguments: bits -> what its config takes for them.
    """

    package: str
    installed: Callable[[], bool]
    arguments: Callable[[int], dict[str, Any]]


def _by_torchao(bits: int) -> dict[str, Any]:
    from torchao.quantization import IntxWeightOnlyConfig  # the one whose 4 bit need no GPU's package

    return {"quant_type": IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"))}


# A class of transformers -> what it needs.
WAYS = {
    BITSANDBYTES: Way("bitsandbytes", is_bitsandbytes_available, lambda bits: {f"load_in_{bits}bit": True}),
    "QuantoConfig": Way("optimum-quanto", is_optimum_quanto_available, lambda bits: {"weights": f"int{bits}"}),
    "TorchAoConfig": Way("torchao", is_torchao_available, _by_torchao),
}


def settings(way: str, bits: int, arguments: Mapping[str, Any]) -> Any:
    """What `from_pretrained` takes as `quantization_config`.

    Args:
        way: of `WAYS`.
        arguments: further ones of that class.
    """
    return getattr(transformers, way)(**{**WAYS[way].arguments(bits), **arguments})


def nf4(computed_in: torch.dtype) -> Any:
    """Blocks of 64 weights as 4-bit NormalFloat, and their scales in 8 bit ("double quantisation"): 0.516 bytes each.

    Args:
        computed_in: what a product takes them back to.
    """
    return settings(BITSANDBYTES, 4, {**NF4, "bnb_4bit_compute_dtype": computed_in})


def written_nf4(computed_in: torch.dtype) -> str:
    """The same as Python."""
    own = {**WAYS[BITSANDBYTES].arguments(4), **NF4}
    arguments = ", ".join(f"{key}={value!r}" for key, value in own.items())
    return f"{BITSANDBYTES}({arguments}, bnb_4bit_compute_dtype={computed_in})"


def check_quantised(
    name: str,
    config: Any,
    lora: dict[str, Any] | None,
    quantise: Quantise = None,
    over: str | None = None,
) -> None:
    """What is to be trained lies beside the weights where these are quantised, or are to be.

    Args:
        config: transformers' config of the model.
        quantise: `model.quantise`.
        over: the base, where what is loaded is an adapter over it.

    Raises:
        UserError: it does not.
    """
    quantised = getattr(config, "quantization_config", None) is not None
    if quantised and quantise:
        raise UserError(
            f"The weights of model '{name}' are quantised already, and model.quantise={quantise} would round them anew",
            "Leave model.quantise= out, or take the model's unquantised weights",
        )
    if not quantised and not quantise:
        return
    own = "model.lora=null" if lora is None else next((f"model.lora.{key}" for key in BESIDE if lora.get(key)), None)
    if lora is not None and lora.get("bias", "none") != "none":
        own = f"model.lora.bias={lora['bias']}"
    leave = "leave model.quantise= out" if quantise else "take the model's unquantised weights"
    if own:
        rounded = f"are rounded by model.quantise={quantise}" if quantise else "are quantised"
        raise UserError(
            f"The weights of model '{name}' {rounded}, and {own} trains them",
            f"Train an adapter beside them, 'model.lora={{r: 16, lora_alpha: 32, target_modules: all-linear}}', or"
            f" {leave}",
        )
    if over:
        raise UserError(
            f"Model '{name}' is an adapter, which cannot be merged into quantised weights without rounding them anew",
            f"Take its base with model.path={over} or model.hub=, or {leave}; `python -m unlearnkit.measure RUN`"
            " measures a run's own adapter",
        )


def check_package(quantise: Quantise) -> None:
    """What rounds the weights is installed.

    Raises:
        UserError: it is not.
    """
    package = WAYS[BITSANDBYTES].package
    if quantise and not WAYS[BITSANDBYTES].installed():
        raise UserError(
            f"model.quantise={quantise} needs the package {package}: not installed",
            f"pip install {package}; or leave model.quantise= out",
        )


def check_scales(source: str, unread: Iterable[str]) -> None:
    """No scale of a quantised weight is left unread, without which the weight is another number.

    Args:
        source: the folder or hub id.
        unread: names of the tensors that the network has no place for.

    Raises:
        UserError: one is.
    """
    if scale := next(filter(SCALES.search, unread), None):
        raise UserError(
            f"The weights in '{source}' are quantised ('{scale}'), and its config.json does not say how",
            "Restore quantization_config in its config.json from the original, or take the model's unquantised weights",
        )


def note_rounding(network: Any, folder: Path) -> None:
    """Write ROUNDED beside a saved adapter whose base has other weights where it lies."""
    base = network.peft_config["default"].base_model_name_or_path
    if is_quantised(network) and "quantization_config" not in PreTrainedConfig.get_config_dict(base)[0]:
        write(folder / ROUNDED, json.dumps({"quantise": "nf4"}) + "\n")


def check_rounding(source: str, quantise: Quantise) -> None:
    """An adapter goes into the weights that it was trained beside.

    Raises:
        UserError: they were rounded, and are not to be.
    """
    note = Path(source).expanduser() / ROUNDED
    if not quantise and note.is_file():
        raise UserError(
            f"The adapter in '{source}' was trained beside weights that model.quantise=nf4 had rounded; into the"
            " weights as they are it would be another model",
            f"Measure it with `python -m unlearnkit.measure RUN`, or remove {note} to have that other model",
        )


def rounding_of(network: Any) -> dict[str, Any]:
    """How the weights were rounded, of a fingerprint; empty for any that were not."""
    config = getattr(bare(network).config, "quantization_config", None)
    if config is None:
        return {}
    settings = config if isinstance(config, dict) else config.to_dict()
    packages = {way.package: version(way.package) for way in WAYS.values() if way.installed()}
    return {"quantised": settings, "packages": packages}


def is_quantised(network: Any) -> bool:
    """The network's weights are stored in a few bits."""
    return bool(getattr(bare(network), "is_quantized", False))


def check_exact(network: Any, to: str) -> None:
    """The weights are numbers that can be read and changed.

    Args:
        to: what is to be done to them, as a participle.

    Raises:
        UserError: they are quantised.
    """
    if is_quantised(network):
        raise exact("the model", to)


def exact(label: str, to: str) -> UserError:
    """What `check_exact` says of a model that is called so."""
    return UserError(
        f"The weights of {label} are quantised, so that none can be {to} without being rounded anew",
        "Take the model's unquantised weights (without model.quantise=), or a method or an attack that leaves them as"
        " they are",
    )
