"""What decides the answers of a model before any stage."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from unlearnkit import ranks
from unlearnkit.inputs import model_files
from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.quantised import rounding_of
from unlearnkit.models.sources import base_of

LIBRARIES = ("torch", "transformers", "tokenizers", "peft")


def fingerprint(model: LanguageModel) -> dict[str, Any]:
    """Every byte that it was loaded from, wherever that lies; how it is asked, and how it computes.

    Every rank calls it; rank zero reads.
    """
    origin = model.weights.origin()
    folders = {key: value for key, value in origin.items() if isinstance(value, str)}
    return {
        "origin": origin | ranks.from_first(lambda: {key: _files(folder) for key, folder in folders.items()}),
        "base": ranks.from_first(lambda: _files(base_of(model.source))),  # another's where the source is an adapter
        "template": model.template,
        "stored": model.model.dtype,
        "dtype": model.dtype,
        "attention": model.model.config._attn_implementation,
        "device": model.device.type,
        "versions": {name: version(name) for name in LIBRARIES},
        **rounding_of(model.model),
    }


def _files(source: str) -> dict[str, str] | str:
    return model_files(source) or source  # a hub id that is in no cache of this machine
