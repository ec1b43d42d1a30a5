"""What makes two runs the same run: their resolved configs, without what decides nothing of a result."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

# Keys that decide nothing of a run's result. `sweep` and `scale` say which table a run is for.
NO_MATTER = re.compile(r"^(resume|logger|sweep|scale)\b|\bsave_(every|limit)$")
OF_SWEEPS = ("sweep", "scale")
ABSENT = object()


def resolved(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain data, without Hydra's part and the sweep's."""
    parts = {str(key): config[key] for key in config if key not in ("hydra", *OF_SWEEPS)}
    return {key: OmegaConf.to_container(p, resolve=True) if OmegaConf.is_config(p) else p for key, p in parts.items()}


def fingerprint(config: dict[str, Any]) -> str:
    """Ten hexadecimal digits of all that decides a run's result; the order of keys does not count."""
    decides = {key: value for key, value in flat(config).items() if not NO_MATTER.search(key)}
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:10]


def differences(held: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What two configs say differently, of all that decides a run's result."""
    old, new = flat(held), flat(yaml.safe_load(yaml.safe_dump(wanted)))
    return [
        f"{key} is {old.get(key, 'absent')} there, {new.get(key, 'absent')} here"
        for key in dict.fromkeys([*old, *new])
        if old.get(key, ABSENT) != new.get(key, ABSENT) and not NO_MATTER.search(key)
    ]


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value; what is empty stays as it is."""
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    return {
        key: value
        for name, part in config.items()
        for key, value in flat(part, f"{prefix}.{name}" if prefix else str(name)).items()
    }
