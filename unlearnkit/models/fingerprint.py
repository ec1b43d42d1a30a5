"""What decides the answers of a model before any stage."""

from __future__ import annotations

import hashlib
import uuid
from importlib.metadata import version
from typing import Any

import torch

from unlearnkit import ranks
from unlearnkit.inputs import model_files
from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.sources import base_of

LIBRARIES = ("torch", "transformers", "tokenizers", "peft")


def fingerprint(model: LanguageModel) -> dict[str, Any]:
    """Every byte that it was loaded from, wherever that lies; how it is asked, and how it computes.

    Every rank calls it; rank zero reads.
    """
    origin = model.weights.origin()
    if origin.get("changed"):  # a copy that an attack has changed in memory
        origin["changed"] = ranks.from_first(lambda: weights_of(model.model))
    folders = {key: value for key, value in origin.items() if isinstance(value, str) and key != "changed"}
    return {
        "origin": origin | ranks.from_first(lambda: {key: _files(folder) for key, folder in folders.items()}),
        "base": ranks.from_first(lambda: _files(base_of(model.source))),  # another's where the source is an adapter
        "template": model.template,
        "stored": model.model.dtype,
        "dtype": model.dtype,
        "device": model.device.type,
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _files(source: str) -> dict[str, str] | str:
    return model_files(source) or source  # a hub id that is in no cache of this machine


def weights_of(network: torch.nn.Module) -> str:
    """A digest of every tensor of a network; another one at each call where some have no bytes to be read."""
    told = hashlib.sha256()
    try:
        for name, tensor in network.state_dict().items():
            own = tensor.detach().cpu().contiguous().reshape(-1)
            told.update(f"{name} {own.dtype} {tuple(tensor.shape)}".encode())
            told.update(memoryview(own.view(torch.uint8).numpy()))
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):  # some quantised tensors are of these kinds
        return uuid.uuid4().hex
    return told.hexdigest()
