"""An adapter that begins with a part of the base, which a second, frozen adapter takes out of it.

The base's own weights stay as they are: W x - c B0 A0 x + c B A x is what W - c B0 A0 with the adapter (A, B) would
give. So the start is the network with both adapters off, and what is saved is one adapter of twice the rank over the
base.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from unlearnkit.errors import UserError
from unlearnkit.files import write

SUBTRACTED = "taken"  # PEFT's name of the adapter that takes out what the trained one began with
PLAIN = {
    *("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights", "bias"),
}
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def check_plain(lora: Mapping[str, Any]) -> None:
    """LoRA is two matrices beside a linear layer and no more.

    Raises:
        UserError: it is.
    """
    odd = [key for key, value in lora.items() if value and (key not in PLAIN or (key == "bias" and value != "none"))]
    if odd:
        raise UserError(
            f"The stage 'fila' splits linear layers alone, and model.lora.{odd[0]}={lora[odd[0]]} trains more",
            f"Leave model.lora.{odd[0]} out",
        )


def fresh_layers(network: PeftModel, name: str) -> dict[str, Any]:
    """Path -> layer with the adapter of that name, whose product is still zero.

    Raises:
        UserError: it is not, or the adapter stands on something else than linear layers.
    """
    layers: dict[str, Any] = {
        path: layer for path, layer in network.named_modules() if isinstance(layer, LoraLayer) and name in layer.r
    }
    for path, layer in layers.items():
        if name not in layer.lora_B:
            raise UserError(
                f"The stage 'fila' splits linear layers alone, and the adapter stands on {path.rpartition('.')[2]}",
                "Leave it out of model.lora.target_modules",
            )
        if layer.lora_B[name].weight.any():
            raise UserError(
                "The stage 'fila' begins an adapter, and a stage before it has trained one",
                "Put it before every stage that trains",
            )
    return layers


def add_subtracted(network: Any, name: str) -> None:
    """A second adapter of the same shape, frozen and switched on beside the one of that name."""
    config = copy.deepcopy(network.peft_config[name])
    config.lora_dropout, config.init_lora_weights = 0.0, True
    network.add_adapter(SUBTRACTED, config)
    network.base_model.set_adapter([name, SUBTRACTED])


@torch.no_grad()
def fill(network: PeftModel, name: str, parts: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Begin the adapter with these products, and take them out of the base."""
    layers = dict(network.named_modules())
    for path, (first, second) in parts.items():
        layer: Any = layers[path]
        for adapter, sign in ((name, 1.0), (SUBTRACTED, -1.0)):
            layer.lora_A[adapter].weight.copy_(first)
            layer.lora_B[adapter].weight.copy_(second).mul_(sign)


def join(folder: Path) -> None:
    """One adapter of twice the rank in place of the two that were saved, the second below `TAKEN`."""
    own, subtracted = load_file(folder / WEIGHTS), load_file(folder / SUBTRACTED / WEIGHTS)
    for key, weight in own.items():
        own[key] = torch.cat([weight, subtracted[key].to(weight.dtype)], dim=0 if ".lora_A." in key else 1).contiguous()
    save_file(own, folder / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    of_alpha = math.sqrt(2) if config.get("use_rslora") else 2.0  # the scaling is alpha / r, or alpha / sqrt(r)
    config["r"], config["lora_alpha"], config["init_lora_weights"] = (
        2 * config["r"],
        _times(of_alpha)(config["lora_alpha"]),
        True,
    )
    for key, change in (("rank_pattern", _times(2)), ("alpha_pattern", _times(of_alpha))):
        config[key] = {pattern: change(value) for pattern, value in (config.get(key) or {}).items()}
    write(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    for path in (folder / SUBTRACTED).iterdir():
        path.unlink()
    (folder / SUBTRACTED).rmdir()


def _times(factor: float) -> Callable[[float], float]:
    """Whole numbers stay whole."""
    return lambda value: int(value * factor) if value * factor == int(value * factor) else value * factor
