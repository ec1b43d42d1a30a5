"""What decides the answers of a model as it was loaded."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from peft import PeftModel

from unlearnkit import ranks
from unlearnkit.inputs import model_files
from unlearnkit.models.loading import LanguageModel

LIBRARIES = ("torch", "transformers", "tokenizers", "peft")


def fingerprint(model: LanguageModel) -> dict[str, Any]:
    """Every byte that it was loaded from, wherever that lies; how it is asked, and how it computes.

    Every rank calls it; rank zero reads.
    """
    weights, adapter = ranks.from_first(lambda: (_files(model.source), model.adapter and _files(model.adapter)))
    return {
        "weights": weights,
        "adapter": [adapter, isinstance(model.model, PeftModel)] if adapter else None,
        "template": model.template,
        "dtype": model.model.dtype,
        "autocast": model.autocast,
        "device": model.device.type,
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _files(source: str) -> dict[str, str] | str:
    return model_files(source) or source  # a hub id that is in no cache of this machine
