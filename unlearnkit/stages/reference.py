"""What the reference makes of whole answers is the same at every step: scored once, kept by content."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from unlearnkit import ranks
from unlearnkit.cache import cache_folder
from unlearnkit.files import whole
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Tokens
from unlearnkit.records.cache import fingerprint
from unlearnkit.records.forward import score


def reference_log_probs(model: LanguageModel, examples: list[Tokens], state: str = "start") -> dict[Tokens, float]:
    """Example -> log-probability of its answer under an earlier state of the model, summed over its tokens.

    Runs that start from the same weights take each other's numbers out of the cache.

    Args:
        state: "start" or "loaded".
    """
    if not examples:
        return {}
    content = {"reference": fingerprint(model), "state": state, "examples": examples}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "reference" / f"{key}.npy"
    kept = ranks.from_first(lambda: np.load(path, allow_pickle=False).tolist() if path.is_file() else None)
    if kept is not None:
        return dict(zip(examples, kept, strict=True))
    with model.state(state) as network:
        values = [sum(scored.log_probs) for scored in score(network, examples, desc="Scoring the reference")]
    if ranks.is_first():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial, partial.open("wb") as file:  # by a name without .npy it would add one
            np.save(file, np.array(values))
    return dict(zip(examples, values, strict=True))
