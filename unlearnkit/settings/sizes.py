"""How large a model is, told before any of it is loaded or fetched, and the rate that fits its size."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OTHERS = "others"  # of a paper's settings: those of a model without a row of its own
RATES = ("rates", "teaching")  # a paper's tables of rates
KINDS = ("lora", "whole")  # what is trained: an adapter, or all weights
ANY = "any"  # of larger models, and of those whose size nobody says
UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
SIZE = re.compile(r"(?<![a-z\d.])(?:(\d+)x)?(\d+(?:\.\d+)?)([kmbt])(?![a-z\d])", re.IGNORECASE)
WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
INNER = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def rate(rates: Mapping[str, Mapping[str, float]], lora: object, path: str | None, hub: str | None) -> float:
    """The first of a table's rates whose size the model does not exceed.

    Args:
        rates: "lora" (an adapter is trained) and "whole" -> a size such as 135M or 1.5B -> rate, sizes rising; "any" is
            for larger models and for those whose size nobody says.
        lora: None: all weights are trained.
    """
    table = rates["whole" if lora is None else "lora"]
    parameters = parameters_of(path, hub)
    for size, value in table.items():
        if size != ANY and parameters is not None and parameters <= (size_in_name(str(size)) or 0):
            return float(value)
    return float(table[ANY])


def parameters_of(path: str | None, hub: str | None) -> float | None:
    """About how many: of a folder by its config.json, of a hub id by its name; None where neither says it."""
    if not path:
        return size_in_name(str(hub).rpartition("/")[2]) if hub else None
    folder = Path(str(path)).expanduser()
    adapter = _read(folder / "adapter_config.json").get("base_model_name_or_path")
    if adapter and not _read(folder / "config.json"):
        place = Path(str(adapter)).expanduser()
        return (
            counted(_read(place / "config.json")) if place.is_dir() else size_in_name(str(adapter).rpartition("/")[2])
        )
    return counted(_read(folder / "config.json"))


def depth_of(path: str | None) -> int | None:
    """Layers of the model in a folder by its config.json; None where it does not say."""
    return shape_of(_read(Path(str(path)).expanduser() / "config.json"))[0] if path else None


def shape_of(config: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Layers, and the width of the states between them, of a config.json; None where it does not say."""
    config = of_text(config)
    layers, width = _first(config, LAYERS), _first(config, WIDTH)
    return None if layers is None else int(layers), None if width is None else int(width)


def of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config.json with what it says of its text model, where that is one part of several, over the rest."""
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, Mapping) else config


def size_in_name(name: str) -> float | None:
    """The largest size in a name: 1.35e8 of SmolLM2-135M, 5.6e10 of Mixtral-8x7B."""
    sizes = [float(number) * float(times or 1) * UNITS[unit.upper()] for times, number, unit in SIZE.findall(name)]
    return max(sizes, default=None)


def counted(config: Mapping[str, Any]) -> float | None:
    """Parameters of a transformer of a config.json's shapes, without its norms and biases."""
    config = of_text(config)
    width, layers, words = _first(config, WIDTH), _first(config, LAYERS), _first(config, ("vocab_size",))
    if not width or not layers:
        return None
    inner, experts = _first(config, INNER) or 4 * width, _first(config, EXPERTS) or 1
    return layers * (4 * width * width + 3 * width * inner * experts) + (words or 0) * width


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next((float(config[n]) for n in names if isinstance(config.get(n), int | float)), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}
