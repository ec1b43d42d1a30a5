"""What the reference makes of whole answers is the same at every step: scored once, kept by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unlearnkit import ranks
from unlearnkit.cache import load_or_make
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.packing import Tokens
from unlearnkit.records.forward import score

FILE = "log_probs.npy"


def reference_log_probs(model: LanguageModel, examples: list[Tokens], state: str = "start") -> dict[Tokens, float]:
    """Example -> log-probability of its answer under an earlier state of the model, summed over its tokens.

    Runs that start from the same weights take each other's numbers out of the cache.

    Args:
        state: "start" or "loaded".
    """
    if not examples:
        return {}

    def make(folder: Path) -> None:
        with model.state(state) as network:
            scores = score(network, examples, desc="Scoring the reference")
        values = [sum(scored.log_probs) for scored in scores]
        if ranks.is_first():
            np.save(folder / FILE, np.array(values))

    content = {"model": fingerprint(model), "state": state, "examples": examples}
    log_probs = load_or_make(
        "reference", content, make, lambda folder: np.load(folder / FILE, allow_pickle=False), together=True
    )
    return dict(zip(examples, log_probs.tolist(), strict=True))
