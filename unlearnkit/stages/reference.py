"""What the reference makes of whole answers is the same at every step: scored once, kept by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unlearnkit import ranks
from unlearnkit.cache import kept
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.packing import Tokens
from unlearnkit.records.forward import score

FILE = "log_probs.npy"


def reference_log_probs(model: LanguageModel, examples: list[Tokens]) -> dict[Tokens, float]:
    """Example -> log-probability of its answer under the reference, summed over its tokens.

    Call it before the model is trained: under full weights it is its own reference only until then. Runs that start
    from the same weights take each other's numbers out of the cache.
    """
    if not examples:
        return {}

    def values() -> list[float]:
        with model.as_reference() as network:
            return [sum(scored.log_probs) for scored in score(network, examples, desc="Scoring the reference")]

    def make(folder: Path) -> None:
        scored = values()
        if ranks.is_first():
            np.save(folder / FILE, np.array(scored))

    if not model.as_loaded:
        return dict(zip(examples, values(), strict=True))
    content = {"model": fingerprint(model), "examples": examples}
    found = kept("reference", content, make, lambda folder: np.load(folder / FILE, allow_pickle=False), together=True)
    return dict(zip(examples, found.tolist(), strict=True))
