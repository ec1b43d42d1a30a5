"""Similarity of the unlearned model's responses to the original model's: a scorer, and the metric."""

from __future__ import annotations

from unlearnkit.measures.base import GONE, Measure
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record


class EncoderSimilarity:
    """Cosine of two texts' sentence embeddings, in [-1, 1]; works offline.

    Liu et al. 2024 (SKU) use BLEURT here (`unlearnkit.measures.bleurt.Bleurt`); this is its embedded stand-in.

    Args:
        path: another sentence encoder (local folder or hub id).
    """

    name = "similarity"

    def __init__(self, path: str | None = None):
        from unlearnkit.models.encoder import SentenceEncoder  # torch, for which who reads numbers need not wait

        self.encoder = SentenceEncoder(path)

    def score(self, references: list[str], candidates: list[str]) -> list[float]:
        """One cosine for each reference and its candidate."""
        if len(references) != len(candidates):
            raise ValueError(f"{len(references)} references, but {len(candidates)} candidates")
        vectors = self.encoder.encode(references + candidates)
        return (vectors[: len(references)] * vectors[len(references) :]).sum(axis=1).tolist()


class Similarity(Measure):
    """Mean of `record.similarity` over the records that were scored, whatever the scorer (SKU, A.2).

    Args:
        bounds: of the scorer, such as a cosine's; None for one without, such as BLEURT.
    """

    reads = ("similarity",)
    better = GONE

    def __init__(self, bounds: tuple[float, float] | None = (-1.0, 1.0)):
        self.scale = Scale(*bounds) if bounds is not None else Scale()

    def value(self, record: Record, role: str | None) -> float | None:
        return record.similarity
