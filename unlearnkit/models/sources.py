"""Where a model's files are: a folder, a package's file or the hub; and the base that an adapter is over."""

from __future__ import annotations

import json
import re
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError, safe_open

from unlearnkit.errors import UserError
from unlearnkit.models.converted import converted
from unlearnkit.models.failures import told
from unlearnkit.settings.strangers import check_place, place_error, stranger

ADAPTER = "adapter_config.json"  # a folder with this file holds an adapter
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
POINTER = b"version https://git-lfs"
BESIDE = ("*.json", "*.jinja", "*.txt", "*.model")  # weights: what a model's config and tokenizer are read from


def locate(name: str, hub: str | None, path: str | None, package: str | None, gguf: str | None) -> str:
    """The folder or the hub id.

    Raises:
        UserError: no weights are named, or what is named is no model's folder or no hub id.
    """
    check_place(path, None if package else hub)
    if path:
        return str(Path(path).expanduser().absolute())  # an adapter's file says where its base lies
    if package:
        return str(converted(name, package, gguf or ""))
    if hub:
        return hub
    raise UserError(f"Model '{name}' names no weights", "Set model.path=FOLDER or model.hub=ORG/NAME")


def fetched(hub: str) -> Path:
    """The folder of a hub id's files in the hub's cache, where they are put if they are not there.

    Raises:
        UserError: no such model, or the hub is out of reach.
    """
    with told(hub, hub):
        folder = Path(snapshot_download(hub, allow_patterns=[*BESIDE, "*.safetensors"], ignore_patterns=["*/*.*"]))
        if not any(folder.glob("*.safetensors")):
            snapshot_download(hub, allow_patterns=["*.bin"], ignore_patterns=["*/*.*"])
    return folder


def base_of(source: str) -> str:
    """The source itself, or the base of the adapter that it is.

    Raises:
        UserError: a folder with a whole model and an adapter; an adapter whose base is not there, or is none.
    """
    file = _adapter_file(source)
    if file is None:
        return source
    folder = Path(source)
    whole = [p.name for end in ("safetensors", "bin") for p in folder.glob(f"*.{end}") if "adapter" not in p.name]
    if (folder / "config.json").is_file() and whole:
        raise UserError(
            f"'{source}' holds a whole model ({whole[0]}) and an adapter ({ADAPTER}): which is meant?",
            "Move the adapter's files to a folder of their own, and give one of the two with model.path=",
        )
    config = read(file)
    base = config.get("base_model_name_or_path")
    if (kind := config.get("peft_type", "LORA")) != "LORA":
        raise UserError(
            f"'{source}' holds an adapter of the kind {kind}; LoRA alone can be merged into its base here",
            "Merge it yourself, save the whole model with save_pretrained, and give that folder with model.path=",
        )
    if not base:
        raise UserError(
            f"The adapter in '{source}' does not say which model it is over",
            f"Set base_model_name_or_path in {file} to its base's folder or hub id",
        )
    base = str(base)
    if (wrong := place_error("", base)) or (_a_path(base) and not Path(base).is_dir()):
        why = wrong.what.removeprefix(f"={base} ") if wrong else "there is no such folder"
        raise UserError(f"The adapter in '{source}' is over '{base}': {why}", _get(file))
    if Path(base).is_dir() and not (Path(base) / "config.json").is_file():
        raise UserError(
            f"The adapter in '{source}' is over '{base}', which {stranger('', Path(base)).what}",
            f"Set base_model_name_or_path in {file} to a folder or hub id with full weights",
        )
    return base


def _a_path(base: str) -> bool:
    return base.startswith(("/", "./", "../", "~")) or base.count("/") > 1


def _get(file: Path) -> str:
    """The command that gets an adapter's base, by what its card says of it."""
    card = file.with_name("README.md")
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    match = re.search(r"^base_model: *['\"]?([\w.-]+/[\w.-]+)['\"]? *$", text, re.MULTILINE)
    hub = match[1] if match else "ORG/NAME"
    return f"Fetch it with 'hf download {hub}' and set base_model_name_or_path in {file} to {hub}, or to its folder"


def _adapter_file(source: str) -> Path | None:
    """adapter_config.json of a folder, or of a hub id that is an adapter's."""
    folder = Path(source)
    if folder.is_dir():
        return folder / ADAPTER if (folder / ADAPTER).is_file() else None
    try:
        return Path(hf_hub_download(source, ADAPTER))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError):  # no adapter; or loading will tell
        return None


def read(file: Path) -> dict[str, object]:
    """A JSON file with one object.

    Raises:
        UserError: it is none.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{file} is no JSON: {error}", "Fetch it again, or restore it from a copy") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no JSON object", "Fetch it again, or restore it from a copy")
    return config


def check_folder(source: str) -> None:
    """The files of a folder are whole, as far as can be seen without reading them; a hub id passes.

    Raises:
        UserError: a pointer in a file's place, a file that is cut off, a shard or all weights missing.
    """
    folder = Path(source)
    if not folder.is_dir():
        return
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        with file.open("rb") as opened:
            if opened.read(len(POINTER)) == POINTER:
                raise UserError(
                    f"{file} is a git-lfs pointer, not the file itself", f"git -C '{folder}' lfs pull (git-lfs fetches)"
                )
        if file.suffix == ".safetensors":
            try:
                with safe_open(file, framework="pt"):
                    pass
            except SafetensorError as error:
                raise UserError(
                    f"{file} is damaged or cut off ({file.stat().st_size} bytes): {error}",
                    "Copy or fetch it again: its size should be that of the original",
                ) from error
    for name in ("config.json", ADAPTER):
        if (folder / name).is_file():
            read(folder / name)
    for index in folder.glob("*.index.json"):
        shards = read(index).get("weight_map")
        for shard in sorted(set(shards.values())) if isinstance(shards, dict) else ():
            if not (folder / shard).is_file():
                raise UserError(
                    f"'{source}' lacks {shard}, which {index.name} names",
                    f"Fetch what is missing: hf download ORG/NAME --local-dir '{folder}'",
                )
    if (folder / ADAPTER).is_file():
        if not any((folder / f"adapter_model.{end}").is_file() for end in ("safetensors", "bin")):
            raise UserError(f"'{source}' has {ADAPTER} and no adapter_model.safetensors", "Copy the weights there too")
    elif not any((folder / f"{name}{end}").is_file() for name in WEIGHTS for end in ("", ".index.json")):
        raise stranger(source, folder)
