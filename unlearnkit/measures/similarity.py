"""Similarity of the unlearned model's responses to the original model's: a scorer, and the metric."""

from __future__ import annotations

from unlearnkit.measures.interval import Estimate, bounded_mean, plain_mean
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.models.encoder import SentenceEncoder
from unlearnkit.records.record import Record


class EncoderSimilarity:
    """Cosine of two texts' sentence embeddings, in [-1, 1]; works offline.

    Liu et al. 2024 (SKU) use BLEURT here (`unlearnkit.measures.bleurt.Bleurt`); this is its embedded stand-in.

    Args:
        path: another sentence encoder (local folder or hub id).
    """

    name = "similarity"

    def __init__(self, path: str | None = None):
        self.encoder = SentenceEncoder(path)

    def score(self, references: list[str], candidates: list[str]) -> list[float]:
        """One cosine for each reference and its candidate."""
        if len(references) != len(candidates):
            raise ValueError(f"{len(references)} references, but {len(candidates)} candidates")
        vectors = self.encoder.encode(references + candidates)
        return (vectors[: len(references)] * vectors[len(references) :]).sum(axis=1).tolist()


def similarity(records: list[Record], seed: int = 0, bounds: tuple[float, float] | None = (-1.0, 1.0)) -> Estimate:
    """Mean of `record.similarity` over the records that were scored, whatever the scorer (SKU, A.2).

    Args:
        bounds: of the scorer, such as a cosine's; None for one without, such as BLEURT.
    """
    scores = per_prompt((record, record.similarity) for record in records if record.similarity is not None)
    return plain_mean(scores, seed) if bounds is None else bounded_mean(scores, seed, (bounds[0], bounds[1]))
