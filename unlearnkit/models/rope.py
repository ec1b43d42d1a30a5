"""Rotary positions said twice: as transformers 5 writes them and as 4.x reads them.

transformers 5 writes `rope_parameters` alone, and 4.x then takes its default theta without a word.
"""

from __future__ import annotations

from typing import Any

# `rope_scaling` that 4.x takes with just these keys, beside the kind under `type`.
STRICT = {"olmo": {"factor"}, "olmo2": {"factor"}, "phi3": {"short_factor", "long_factor"}}
BESIDE = ("rope_theta", "rope_type", "type", "partial_rotary_factor")  # not part of 4.x's `rope_scaling`


def legacy_rope(config: dict[str, Any]) -> dict[str, Any]:
    """The keys of transformers 4.x that say what `rope_parameters` of a config.json says; {} where they cannot."""
    parameters, architecture = config.get("rope_parameters") or {}, config.get("model_type", "")
    whole = parameters.get("full_attention", parameters)
    if "rope_theta" not in whole or (whole is not parameters and not _by_layer(architecture, parameters)):
        return {}
    if architecture.startswith("gpt_neox"):
        keys = {"rotary_emb_base": whole["rope_theta"], "rotary_pct": whole.get("partial_rotary_factor", 1.0)}
    else:
        keys = {"rope_theta": whole["rope_theta"]}
        if "partial_rotary_factor" in whole:
            keys["partial_rotary_factor"] = whole["partial_rotary_factor"]
    keys["rope_scaling"] = _scaling(architecture, whole)
    window = parameters.get("sliding_attention")
    if window and architecture.startswith("gemma3"):
        keys["rope_local_base_freq"] = window["rope_theta"]
    return keys


def _by_layer(architecture: str, parameters: dict[str, Any]) -> bool:
    """4.x has the settings of each layer type: windows are never scaled, and only gemma 3 gives them a theta."""
    whole, window = parameters["full_attention"], parameters.get("sliding_attention") or {}
    return (
        set(parameters) <= {"full_attention", "sliding_attention"}
        and window.get("rope_type", "default") == "default"
        and (architecture.startswith("gemma3") or window.get("rope_theta", whole["rope_theta"]) == whole["rope_theta"])
        and whole.get("partial_rotary_factor", 1.0) == window.get("partial_rotary_factor", 1.0) == 1.0
    )


def _scaling(architecture: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    kind = parameters.get("rope_type", "default")
    if kind == "default":
        return None
    settings = {name: value for name, value in parameters.items() if name not in BESIDE}
    if architecture == "phi3":
        settings.pop("original_max_position_embeddings", None)  # stands in the config itself
    if set(settings) == STRICT.get(architecture):
        return {"type": kind, **settings}
    return {"rope_type": kind, **settings}
