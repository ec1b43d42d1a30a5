"""What a place is that holds no model that can be loaded, and which setting takes it."""

from __future__ import annotations

import re
from pathlib import Path

from omegaconf import DictConfig

from unlearnkit.errors import UserError

LOADS = "unlearnkit.models.load"  # which reads a model from a folder or the hub
CONFIGS = ("config.json", "adapter_config.json")
ROWS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")
PACKED = (".zip", ".gz", ".tgz", ".tar", ".xz", ".bz2", ".zst", ".7z")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
OTHERS = {  # files by which a folder of another library is known -> what it is
    "model_index.json": "an image model of diffusers",
    "modules.json": "a sentence encoder of sentence-transformers",
    "*.onnx": "a model in ONNX",
    "onnx/*.onnx": "a model in ONNX",
    "tf_model.h5": "weights for TensorFlow",
    "saved_model.pb": "a model of TensorFlow",
    "flax_model.msgpack": "weights for Flax",
    "*.mlmodel": "a model of Core ML",
    "weights*.npz": "weights for MLX",
    "*.tflite": "a model of TensorFlow Lite",
    "*.engine": "an engine of TensorRT",
    "*.nemo": "a model of NeMo",
}
GIVE = "Give a folder written by save_pretrained, with config.json, *.safetensors and a tokenizer"
URL = re.compile(r"^(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)/(?P<id>[^?#\s]+)")
ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_place(path: str | None, hub: str | None) -> None:
    """Refuse a model's path or hub id that none can be at; a path goes before a hub id.

    Raises:
        UserError: no folder with a model's config is there, or it is no hub id.
    """
    key, value = ("model.path", path) if path else ("model.hub", hub)
    if value and (wrong := place_error(key, str(value))):
        raise wrong
    if path and not any((Path(path).expanduser() / name).is_file() for name in CONFIGS):
        raise stranger(str(path), Path(path).expanduser().absolute())


def check_model_place(config: DictConfig) -> None:
    """The same of a run's config, whose model is read from a folder or the hub.

    Raises:
        UserError: see `check_place`.
    """
    if config.model.get("_target_") == LOADS:
        check_place(config.model.get("path"), None if config.model.get("package") else config.model.get("hub"))


def place_error(key: str, value: str) -> UserError | None:
    """What is wrong with a hub id or a path as it is written; None: nothing.

    Args:
        key: model.path or model.hub; empty for the base that an adapter names.
    """
    path = Path(value).expanduser() if not value.startswith("~") or _home(value) else Path(value)
    if match := URL.match(value):
        parts = match["id"].strip("/").split("/")
        if parts[0] == "datasets":
            return UserError(
                f"{key}={value} is the address of a data set", f"Its rows: data.forget=hf://{'/'.join(parts[:3])}"
            )
        return UserError(f"{key}={value} is an address", f"Give the hub id: model.hub={'/'.join(parts[:2])}")
    if "://" in value:
        rest = value.partition("://")[2].removeprefix("models/")
        hint = f"model.hub={'/'.join(rest.split('/')[:2])}" if ID.match(rest) else "model.hub=ORG/NAME"
        return UserError(f"{key}={value} is an address, and no folder", f"Give a hub id, {hint}, or a local folder")
    if key == "model.path":
        if value.startswith("~") and not _home(value):
            return UserError(f"model.path={value}: there is no such user's home", "Write the folder's full path")
        if not _exists(path):
            like = f", or model.hub={value} if it is a model of the hub" if ID.fullmatch(value) else ""
            return UserError(
                f"model.path={value} holds no model: there is no such folder",
                f"Check the path (ls '{path.parent}'){like}",
            )
        return None
    if key == "model.hub" and path.is_dir() and not ID.fullmatch(value):
        return UserError(f"model.hub={value} is a folder, and no hub id", f"Give it with model.path='{value}'")
    if key == "model.hub" and not re.fullmatch(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", value):
        local = value.startswith((".", "/", "~")) or value.count("/") > 1
        fix = "Give a folder with model.path=, a model of the hub with model.hub=ORG/NAME"
        return UserError(f"model.hub={value} is no hub id{', but a path' if local else ''}", fix)
    return None


def _home(value: str) -> bool:
    try:
        Path(value).expanduser()
    except RuntimeError:
        return False
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name may be
        return False


def stranger(value: str, place: Path) -> UserError:
    """The two lines for a file or folder without a model.

    Args:
        value: as the user wrote it; empty for a sentence about the place alone.
    """
    try:
        what, fix = _file(place) if place.is_file() else _folder(place)
    except PermissionError:
        what, fix = "may not be read by you", f"Ask for the right to read it (ls -ld '{place}')"
    return UserError(f"model.path={value} holds no model: it {what}" if value else what, fix)


def _file(file: Path) -> tuple[str, str]:
    if file.suffix == ".gguf":
        return _gguf(file.name)
    if file.suffix in WEIGHTS:
        return (
            "is a file of weights",
            f"Give the folder that it lies in, with its config.json: model.path='{file.parent}'",
        )
    if file.suffix in PACKED:
        return "is a packed archive", "Unpack it, and give the folder with config.json"
    if file.name == "config.json":
        return "is a file, config.json", f"Give the folder that it lies in: model.path='{file.parent}'"
    if file.suffix in ROWS:
        return "is a file of rows", f"Give it as data: data=files data.forget='{file}'"
    return "is a file", GIVE


def _gguf(name: str) -> tuple[str, str]:
    return (
        f"is in GGUF ({name}), llama.cpp's format for inference, which nothing here can train",
        "Give the model that it was made of: model.hub=ORG/NAME, or its folder with *.safetensors",
    )


def _folder(folder: Path) -> tuple[str, str]:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "is an empty folder", GIVE
    if known := _hub_cache(folder):
        return known
    if (folder / "metrics.json").is_file() or (folder / "model" / "config.json").is_file():
        inner = folder / "model"
        if any((inner / name).is_file() for name in ("config.json", "adapter_config.json")):
            return "is a run's folder", f"Give the model in it: model.path='{inner}'"
        return "is a run's folder without a model (save_model=false, or it is not done)", "Go on with that run first"
    if (folder / "zero_to_fp32.py").is_file() or any(folder.glob("global_step*")):
        return (
            "is a checkpoint of DeepSpeed",
            f"Make weights of it: python '{folder}/zero_to_fp32.py' '{folder}' FOLDER",
        )
    inside = [
        path.parent
        for end in ("*/config.json", "*/adapter_config.json", "*/*/model/*config.json")
        for path in folder.glob(end)
    ]
    if inside := list(dict.fromkeys(inside)):
        last = max(inside, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)] or [-1])
        count = "a folder of a model" if len(inside) == 1 else f"{len(inside)} folders of models"
        return f"has {count} in it, and none of its own", f"Give one of them, such as model.path='{last}'"
    if (folder / "params.json").is_file() and any(folder.glob("consolidated*")):
        return (
            "is in the format of its authors (params.json, consolidated...)",
            "Take the hub's version with config.json, or convert it: python -m"
            " transformers.models.llama.convert_llama_weights_to_hf --help",
        )
    if ggufs := [name for name in names if name.endswith(".gguf")]:
        return _gguf(ggufs[0])
    if other := next((what for pattern, what in OTHERS.items() if any(folder.glob(pattern))), None):
        return f"is {other}", "Give a version with PyTorch's weights, *.safetensors, and config.json"
    weights = [name for name in names if name.endswith(WEIGHTS)]
    if weights and "config.json" not in names:
        return f"has weights ({weights[0]}) and no config.json", "Copy config.json and the tokenizer from the original"
    if "config.json" in names:
        return (
            "has config.json and no weights (model.safetensors, pytorch_model.bin or their shards)",
            f"Fetch them: hf download ORG/NAME --local-dir '{folder}'",
        )
    if any(name.startswith("tokenizer") for name in names):
        return "has a tokenizer alone, no config.json and no weights", GIVE
    if any(name.endswith(ROWS) for name in names) or any(any(folder.glob(f"data/*{end}")) for end in ROWS):
        return "has rows of a data set in it", f"Give it as data: data=files data.forget='{folder}'"
    return "has no config.json in it", GIVE


def _hub_cache(folder: Path) -> tuple[str, str] | None:
    """A hub's cache, the home above it, or one model's entry in it."""
    if folder.name.startswith("models--") and (folder / "snapshots").is_dir():
        return "is a model's entry in the hub's cache", f"Give its hub id: model.hub={_id(folder)}"
    if folder.name == "snapshots" and folder.parent.name.startswith("models--"):
        return "is a model's entry in the hub's cache", f"Give its hub id: model.hub={_id(folder.parent)}"
    for root in (folder, folder / "hub"):
        if folders := sorted(root.glob("models--*--*")):
            more = f"; {len(folders)} are in it" if len(folders) > 1 else ""
            return f"is the hub's cache, not one model{more}", f"Give a hub id: model.hub={_id(folders[0])}"
    return None


def _id(entry: Path) -> str:
    return "/".join(entry.name.split("--")[1:])
