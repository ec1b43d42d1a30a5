"""What decides the answers of a model before any stage."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from unlearnkit import ranks
from unlearnkit.inputs import model_files
from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.loading import base_of

LIBRARIES = ("torch", "transformers", "tokenizers", "peft")


def fingerprint(model: LanguageModel) -> dict[str, Any]:
    """Every byte that it was loaded from, wherever that lies; how it is asked, and how it computes.

    Every rank calls it; rank zero reads.
    """
    origin = model.weights.origin()
    folders = {key: value for key, value in origin.items() if isinstance(value, str)}
    return {
        "origin": origin | ranks.from_first(lambda: {key: _files(folder) for key, folder in folders.items()}),
        "template": model.template,
        "stored": model.model.dtype,
        "dtype": model.dtype,
        "device": model.device.type,
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _files(source: str) -> list[dict[str, str] | str]:
    """Of a folder or hub id, and of the base where it is an adapter's."""
    sources = dict.fromkeys([source, base_of(source)])
    return [model_files(name) or name for name in sources]  # a hub id that is in no cache of this machine
