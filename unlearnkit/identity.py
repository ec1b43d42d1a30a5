"""What makes two runs the same run: their resolved configs, without what decides nothing of a result."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf, open_dict

from unlearnkit import __version__
from unlearnkit.secrets import redacted

# Keys that decide nothing of a run's result. `sweep` and `scale` say which table a run is for; DeepSpeed divides the
# work, attention orders it and a cache saves some; how a judge is reached is not what it says; what is taken of a paper
# stands in its row.
NO_MATTER = re.compile(
    r"^(resume|logger|sweep|scale|push_to_hub|paper\.(taken|others|rates|teaching)|model\.attention)\b"
    r"|\bsave_(every|limit)$"
    r"|(^|\.)(deepspeed|cache)\b"
    r"|(^|\.)judge\.(api_key_env|concurrency|timeout|retries)$"
    r"|\barguments\.(logging_\w+|save_\w+|report_to|run_name|disable_tqdm|output_dir)$"
)
LATER = {"model.quantise": None}  # keys that earlier configs lack -> the value that says what was done without them
INPUTS = "inputs"  # of a run's config.yaml: see `unlearnkit.inputs`
OF_SWEEPS = ("sweep", "scale")
ABSENT = object()
# What earlier versions called by another name: their configs, and a user's own YAML, are read as if written today.
EVALUATION = "unlearnkit.evaluations.Evaluation"
MOVED = {
    **{
        f"unlearnkit.{room}.{name}": EVALUATION
        for name in ("Concepts", "Facts", "Safety", "Scopes")
        for room in (name.lower(), "evaluations")
    },
    **dict.fromkeys(("unlearnkit.scope_guard.Guard", "unlearnkit.evaluations.scope_guard.Guard"), EVALUATION),
    "unlearnkit.facts.Known": "unlearnkit.controls.Known",
    "unlearnkit.target.Taught": "unlearnkit.controls.Taught",
    "unlearnkit.target.Untaught": "unlearnkit.controls.Untaught",
    "unlearnkit.templates.Template": "unlearnkit.models.Template",
    "unlearnkit.tiny.load": "unlearnkit.models.tiny.load",
    "unlearnkit.tracking.Nowhere": "unlearnkit.runs.tracking.Nowhere",
    "unlearnkit.tracking.WandB": "unlearnkit.runs.tracking.WandB",
    **{
        f"unlearnkit.scope_classifier.{name}": f"unlearnkit.evaluations.scope_classifier.{name}"
        for name in ("EmbeddedClassifier", "TransformerClassifier")
    },
    **{
        f"unlearnkit.metrics.{name}": f"unlearnkit.measures.{today}"
        for name, today in {
            "bleu.bleu": "Bleu",
            "bleurt.Bleurt": "bleurt.Bleurt",
            "harmful_rate.harmful_rate": "HarmfulRate",
            "known_rate.forgotten_rate": "SuccessWhole",
            "known_rate.known_rate": "SuccessWhole",
            "perplexity.answer_perplexity": "AnswerPerplexity",
            "perplexity.perplexity": "Perplexity",
            "rouge_l.rouge_l": "RougeL",
            "similarity.EncoderSimilarity": "EncoderSimilarity",
            "similarity.similarity": "Similarity",
            "success.average_success": "Mean",
            "success.retention_success": "Success",
            "success.retention_success_whole": "SuccessWhole",
            "success.unlearn_success": "Success",
            "success.unlearn_success_whole": "SuccessWhole",
        }.items()
    },
}
# And parameters, by today's class: earlier name -> today's.
PARAMETERS = {
    "unlearnkit.measures.Leak": {"told": "success"},
    "unlearnkit.measures.TruthRatio": {"told": "form"},
}


def resolved(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain data, without Hydra's part and the sweep's.

    The paper's part goes first: almost every setting reads its row, which else is looked up for each of them anew.
    """
    if isinstance(paper := config.get("paper"), DictConfig):
        config = copy.deepcopy(config)
        OmegaConf.update(config, "paper", OmegaConf.to_container(paper, resolve=True), merge=False)
    parts = {str(key): config[key] for key in config if key not in ("hydra", *OF_SWEEPS)}
    return {key: OmegaConf.to_container(p, resolve=True) if OmegaConf.is_config(p) else p for key, p in parts.items()}


def fingerprint(config: dict[str, Any]) -> str:
    """Ten hexadecimal digits of all that decides a run's result; the order of keys does not count.

    Parameters count under their earlier names, so that folders named by them are found.
    """
    decides = _deciding(redacted(_earlier(config)))
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:10]


def differences(earlier: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """What two configs say differently, of all that decides a run's result; their inputs where both tell of them."""
    if INPUTS not in earlier or INPUTS not in config:
        earlier, config = ({key: part for key, part in side.items() if key != INPUTS} for side in (earlier, config))
    old, new = _deciding(renamed(earlier)), _deciding(yaml.safe_load(yaml.safe_dump(config)))
    return [
        f"{key} is {old.get(key, 'absent')} there, {new.get(key, 'absent')} here"
        for key in dict.fromkeys([*old, *new])
        if old.get(key, ABSENT) != new.get(key, ABSENT)
    ]


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    """Dotted key -> value, of all that decides a run's result."""
    return {
        key: value
        for key, value in flat(config).items()
        if not NO_MATTER.search(key) and (key not in LATER or value != LATER[key])
    }


def config_in(folder: Path) -> dict[str, Any]:
    """A run folder's config.yaml with today's names; empty where there is none that can be read."""
    try:
        config = renamed(_parsed((folder / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """A table asks for each of its configs some twenty times, and parsing one takes 0.1 s; `renamed` copies it."""
    return yaml.safe_load(text)


def renamed(config: Any) -> Any:
    """Plain data with today's names in place of those in `MOVED` and `PARAMETERS`."""
    if isinstance(config, dict):
        parts = {key: renamed(value) for key, value in config.items()}
        names = _parameters(parts)
        return {names.get(key, key): value for key, value in parts.items()}
    if isinstance(config, list):
        return [renamed(value) for value in config]
    return MOVED.get(config, config) if isinstance(config, str) else config


def _parameters(config: dict[str, Any]) -> dict[str, str]:
    target = config.get("_target_")
    return PARAMETERS.get(target, {}) if isinstance(target, str) else {}


def _earlier(config: Any) -> Any:
    """The inverse of `renamed`, of parameters alone."""
    if isinstance(config, dict):
        names = {today: earlier for earlier, today in _parameters(config).items()}
        return {names.get(key, key): _earlier(value) for key, value in config.items()}
    return [_earlier(value) for value in config] if isinstance(config, list) else config


def rename(config: DictConfig) -> None:
    """The same for a composed config, in place."""
    for key, value in flat(OmegaConf.to_container(config)).items():
        if isinstance(value, str) and value in MOVED:
            OmegaConf.update(config, key, MOVED[value])
    for key, target in flat(OmegaConf.to_container(config)).items():
        owner, _, name = key.rpartition(".")
        if name == "_target_" and isinstance(target, str) and target in PARAMETERS:
            _rename_parameters(OmegaConf.select(config, owner) if owner else config, PARAMETERS[target])


def _rename_parameters(config: DictConfig, names: dict[str, str]) -> None:
    parts = cast(dict[str, Any], OmegaConf.to_container(config))
    with open_dict(config):
        for earlier, today in names.items():
            if earlier in parts:
                del config[earlier]
                config[today] = parts[earlier]


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value; what is empty stays as it is."""
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    return {
        key: value
        for name, part in config.items()
        for key, value in flat(part, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def versions() -> dict[str, str]:
    """Of the packages that decide a number."""
    names = ("torch", "transformers", "peft", "accelerate", "datasets")
    installed = {name: _version(name) for name in names}
    return {"unlearnkit": __version__, **{name: version for name, version in installed.items() if version}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # a run that does not need it goes on without
        return None
