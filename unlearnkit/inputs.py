"""What a config only names, by content: the rows of its data, its models, files and folders."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

import unlearnkit
from unlearnkit.content import contents_of, digest, digest_of
from unlearnkit.identity import NO_MATTER, flat, versions

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# In a model's folder and without a part in any number: what people read, and what the cache says of its entry.
ABOUT = re.compile(r"\.md$|^entry\.json$|^target\.json$|^SHA256SUMS$", re.IGNORECASE)
CONFIGS = ("config.json", "adapter_config.json")
ROWS = "data_rows"


def inputs(config: dict[str, Any], data: Any) -> dict[str, str]:
    """Name -> hash of all that decides a run's result and is not in its config.

    Args:
        config: resolved, as plain data; every file, folder, package or model of the hub's cache that a value names
            goes in under the value's own key.
        data: the loaded `Data`, before a target has cut it down; its files go in as these rows alone.
    """
    contents = {ROWS: rows_of(data)}
    for key, value in flat(config).items():
        if isinstance(value, str) and not key.startswith("data.") and not NO_MATTER.search(key):
            part = _content(key, value, config)
            if part:
                contents[key] = digest(part)[:32]
    return contents


def rows_of(data: Any) -> str:
    """The hash of all that a loaded `Data` holds."""
    return digest(data)[:32]


@functools.cache
def code() -> str:
    """The hash of this package's modules, and of the versions of those that decide a number."""
    modules = contents_of(Path(unlearnkit.__file__).parent)
    return digest([{name: held for name, held in modules.items() if name.endswith(".py")}, versions()])


def _content(key: str, value: str, config: dict[str, Any]) -> dict[str, str] | None:
    if key == "model.package":
        return packaged(value, str(config["model"].get("gguf")))
    if re.search(r"[/.~]", value) or re.search(r"(path|file|folder|dir|corpus|model)$", key):
        try:
            place = Path(value).expanduser().resolve()
            if place.is_file() or (place.is_dir() and place not in (here := Path.cwd()).parents and place != here):
                return model_files(value) or contents_of(place)
        except (OSError, ValueError, RuntimeError):  # a long text, a home that is nobody's
            return None
    return model_files(value) if HUB_ID.fullmatch(value) else None


def model_files(source: str) -> dict[str, str]:
    """File -> digest, of all that transformers may read of a model, an adapter or a tokenizer.

    Args:
        source: a folder, or the hub id of a model in the hub's cache; anything else has no files.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        try:
            cached = [try_to_load_from_cache(source, name) for name in CONFIGS]
        except ValueError:  # no hub id
            return {}
        paths = [Path(path) for path in cached if isinstance(path, str)]
        if not paths:
            return {}
        folder = paths[0].parent
    if not any((folder / name).is_file() for name in CONFIGS):
        return {}
    files = [*folder.iterdir(), *folder.glob("additional_chat_templates/*")]
    return {
        file.relative_to(folder).as_posix(): _digest(file)
        for file in sorted(files)
        if file.is_file() and not file.name.startswith(".") and not ABOUT.search(file.name)
    }


def _digest(file: Path) -> str:
    if file.name != "adapter_config.json":
        return digest_of(file)
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        settings.pop("base_model_name_or_path")  # where the base lay; the base counts by what is in it
        return digest(settings)
    except (ValueError, LookupError, AttributeError):
        return digest_of(file)


def packaged(package: str, file: str) -> dict[str, str] | None:
    """The file's name -> digest; None where the package is not installed or has no such file."""
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec is not None and spec.origin else None
    return {file: digest_of(path)} if path is not None and path.is_file() else None
