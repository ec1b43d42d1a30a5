"""Records of an unchanged model are the same in every run of a sweep: answer and score once, keep by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unlearnkit import ranks
from unlearnkit.cache import cache_folder
from unlearnkit.models import LanguageModel
from unlearnkit.records.record import Record, read_parquet, write_parquet

FORM = 2  # raise it when records of the same content would come out differently


def fingerprint(model: LanguageModel) -> dict[str, Any]:
    """What decides the answers of a model as loaded: its weights, how it is asked and how it computes."""
    weights, origin = _weights(model.source), model.weights.origin()
    return {
        "source": model.source,
        "weights": weights or getattr(model.model.config, "_commit_hash", None),
        "origin": {**origin, "files": _weights(origin["taught"]) if origin["taught"] else None},
        "template": [model.template.text, model.template.separator, model.template.system],
        "dtype": [str(model.model.dtype), str(model.dtype)],
        "device": model.device.type,
        "versions": [version("torch"), version("transformers")],
    }


def _weights(folder: str) -> list[list[Any]]:
    files = sorted(Path(folder).glob("*.safetensors"))
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def cached(content: dict[str, Any], compute: Callable[[], list[Record]]) -> list[Record]:
    """The records that `compute` made for the same content before, or makes now and keeps."""
    content = {**content, "form": FORM}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "records" / f"{key}.parquet"
    kept = ranks.from_first(lambda: read_parquet(path) if path.is_file() else None)
    if kept is not None:
        return kept
    records = compute()
    if ranks.is_first():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(records, path)
    return records
