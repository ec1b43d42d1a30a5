"""What models are by their config.json alone, before any of them is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from unlearnkit.settings.sizes import of_text

BASE = "the start model"  # what errors call it
Configs = Mapping[str, Mapping[str, Any]]  # what a model is called in an error -> its config.json


def configs_of(config: Mapping[str, Any], others: Mapping[str, str] = {}) -> dict[str, dict[str, Any]]:
    """Of the models that a run's config names, the start first; those that are not at hand are left out.

    Args:
        config: resolved, as plain data.
        others: further models, by what errors call them, in a folder or of a hub id.
    """
    control = (config.get("controls") or {}).get("never_knew") or {}
    parts = {BASE: config.get("model") or {}, "the control never_knew": control}
    sources = {label: str(part.get("path") or part.get("hub") or "") for label, part in parts.items()}
    configs = {label: config_at(source) for label, source in {**sources, **others}.items() if source}
    if way := parts[BASE].get("quantise"):
        configs[BASE] = {**configs.get(BASE, {}), "quantization_config": {"quantise": way}}
    return {label: read for label, read in configs.items() if read}


def config_at(source: str) -> dict[str, Any]:
    """config.json of a folder or of a hub id in the hub's cache, of an adapter its base's; empty if not at hand."""
    config = _read(source, "config.json")
    base = None if config else _read(source, "adapter_config.json").get("base_model_name_or_path")
    config = _read(str(base), "config.json") if base else config
    return dict(of_text(config))


def _read(source: str, name: str) -> dict[str, Any]:
    path: Any = Path(source).expanduser() / name
    try:
        if not path.is_file():
            path = try_to_load_from_cache(source, name)
        config = json.loads(Path(path).read_text(encoding="utf-8")) if isinstance(path, str | Path) else {}
    except (OSError, ValueError):  # no hub id; loading will tell
        return {}
    return config if isinstance(config, dict) else {}
