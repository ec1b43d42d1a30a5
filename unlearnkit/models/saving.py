"""A folder that save_pretrained wrote, made readable by the transformers and PEFT that people have.

transformers 4.45, 4.57 and 5 and PEFT 0.13 and later then read the same model, tokenizer and adapter; see
`tests/old_stacks.py`. What an old one cannot read is said by `unlearnkit.models.card`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from peft import get_peft_config
from safetensors import safe_open
from transformers import AutoConfig, PreTrainedConfig

from unlearnkit.files import write
from unlearnkit.models.rope import legacy_rope

# Written whatever their value: readers of other versions have other defaults.
ADAPTER_KEYS = {
    "base_model_name_or_path", "peft_type", "task_type", "inference_mode", "r", "lora_alpha", "lora_dropout",
    "target_modules", "modules_to_save", "bias", "fan_in_fan_out",
}  # fmt: skip


def make_portable(folder: Path, base: str | None = None, use_cache: bool | None = None) -> None:
    """Rewrite the JSON files of a folder that save_pretrained wrote; weights are left alone.

    Args:
        folder: an adapter or full weights, with or without a tokenizer.
        base: where an adapter's base weights are, a folder or a hub id; None leaves what is written.
        use_cache: the setting of the model as it came, which a trainer switches off; None leaves what is written.
    """
    for path, change in (
        (folder / "config.json", lambda config: _model(config, use_cache)),
        (folder / "generation_config.json", lambda config: _cached(config, use_cache)),
        (folder / "tokenizer_config.json", lambda config: _tokenizer(folder, config)),
        (folder / "adapter_config.json", lambda config: _adapter(folder, config, base)),
    ):
        if path.is_file():
            changed = change(json.loads(path.read_text(encoding="utf-8")))
            write(path, json.dumps(changed, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def absolute(base: str) -> str:
    """A folder by its absolute path, so that an adapter loads from any folder; a hub id as it is."""
    return str(Path(base).expanduser().resolve()) if Path(base).expanduser().is_dir() else base


def written(folder: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """config.json of a saved folder, or of the base of its adapter, and adapter_config.json where there is one."""
    path = folder / "adapter_config.json"
    adapter = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return PreTrainedConfig.get_config_dict(adapter["base_model_name_or_path"] if adapter else folder)[0], adapter


def _model(config: dict[str, Any], use_cache: bool | None) -> dict[str, Any]:
    changed = _cached(config, use_cache)
    if "dtype" in config:
        changed["torch_dtype"] = config["dtype"]  # its name before 4.56
    with_rope = _with_rope(changed)
    # transformers 5 lets the old keys win, so they must say all that the new ones do.
    return with_rope if _read(with_rope).items() >= _read(changed).items() else changed


def _cached(config: dict[str, Any], use_cache: bool | None) -> dict[str, Any]:
    return dict(config) if use_cache is None else {**config, "use_cache": use_cache}


def _with_rope(config: dict[str, Any]) -> dict[str, Any]:
    inner = {
        key: _with_rope(value) for key, value in config.items() if isinstance(value, dict) and "model_type" in value
    }
    return {**config, **inner, **legacy_rope(config)}


def _read(config: dict[str, Any]) -> dict[str, str]:
    """What the installed transformers makes of a config.json, key by key as JSON."""
    made = AutoConfig.for_model(**json.loads(json.dumps(config))).to_dict()
    # `type` is the older name of `rope_type` and stays beside it.
    plain = json.loads(json.dumps(made), object_hook=lambda part: {k: v for k, v in part.items() if k != "type"})
    return {key: json.dumps(value, sort_keys=True) for key, value in plain.items()}


def _tokenizer(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer's class, special tokens and chat templates under the names of transformers 4.x."""
    changed = dict(config)
    if (folder / "tokenizer.json").is_file():
        # This class takes tokenizer.json as it is; the classes of models add their own start tokens in 4.x.
        changed["tokenizer_class"] = "PreTrainedTokenizerFast"
        changed.setdefault("model_input_names", ["input_ids", "attention_mask"])  # 4.x adds token_type_ids
        changed.setdefault("clean_up_tokenization_spaces", False)  # True in 4.x
        core = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        if "add_prefix_space" in (core.get("pre_tokenizer") or {}):
            changed["add_prefix_space"] = core["pre_tokenizer"]["add_prefix_space"]
    if isinstance(changed.get("extra_special_tokens"), list):  # a mapping in 4.x
        changed["additional_special_tokens"] = changed.pop("extra_special_tokens")
    templates = _templates(folder)
    if set(templates) == {"default"}:
        changed["chat_template"] = templates["default"]
    elif templates:
        changed["chat_template"] = [{"name": name, "template": text} for name, text in templates.items()]
    return changed


def _templates(folder: Path) -> dict[str, str]:
    """Chat templates by name, which transformers before 4.50 reads from tokenizer_config.json alone."""
    paths = {path.stem: path for path in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    if (folder / "chat_template.jinja").is_file():
        paths = {"default": folder / "chat_template.jinja", **paths}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items()}


def _adapter(folder: Path, config: dict[str, Any], base: str | None) -> dict[str, Any]:
    """What differs from PEFT's defaults: an older PEFT stops at a key that it does not know."""
    defaults = json.loads(json.dumps(get_peft_config({"peft_type": config["peft_type"]}).to_dict(), default=list))
    changed = {
        key: value
        for key, value in config.items()
        if key in ADAPTER_KEYS or (key != "peft_version" and (key not in defaults or value != defaults[key]))
    }
    changed["base_model_name_or_path"] = absolute(base or config["base_model_name_or_path"] or "") or None
    modules = _adapted(folder) if {"rank_pattern", "alpha_pattern", "exclude_modules"} & set(changed) else []
    if modules and changed.pop("exclude_modules", None):  # not before PEFT 0.14
        changed["target_modules"] = modules
    for key in ("target_modules", "modules_to_save"):
        if isinstance(changed.get(key), list):
            changed[key] = sorted(changed[key])  # a set, whose order differs by process
    for key in ("rank_pattern", "alpha_pattern"):
        if key in changed:
            changed[key] = _by_name(changed[key], modules)
    return changed


def _adapted(folder: Path) -> list[str]:
    """Names of the modules that an adapter's file has an A for."""
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        matches = [
            re.match(r"base_model\.model\.(.+)\.lora_(?:embedding_)?A(?:\.weight)?$", key) for key in file.keys()
        ]
    return sorted(match[1] for match in matches if match)


def _by_name(pattern: dict[str, Any], modules: list[str]) -> dict[str, Any]:
    """Regular expressions replaced by what they match: PEFT 0.13 anchors them otherwise (`^`, `a|b`).

    One that matches no module stays: it is of parameters, such as the experts of a mixture.
    """
    if all(re.fullmatch(r"[\w.]+", key) for key in pattern):
        return pattern
    by_module, unmatched = {}, dict(pattern)
    for module in modules:
        for key, value in pattern.items():
            if re.match(rf"(.*\.)?({key})$", module):
                by_module[module] = value
                unmatched.pop(key, None)
                break
    return {**by_module, **unmatched}
