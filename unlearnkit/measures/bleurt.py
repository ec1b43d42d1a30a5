"""BLEURT (Sellam et al. 2020, arXiv:2004.04696), the utility score of Liu et al. 2024 (SKU), A.2."""

from __future__ import annotations

import torch
from transformers import AutoModelForSequenceClassification

from unlearnkit.errors import UserError
from unlearnkit.models.encoder import batches, load


class Bleurt:
    """An original BLEURT checkpoint: a BERT sequence classifier over (reference, candidate) with one output.

    Scores are roughly 0 (unrelated) to 1 (same meaning), unbounded. The metric over records is
    `unlearnkit.measures.similarity.similarity`.

    Args:
        model: a local folder or hub id.
        batch_size: pairs in a forward.
        max_length: tokens of a pair.
        device: by default a GPU where there is one.
    Raises:
        UserError: for missing weights, or a head with more than one output.
    """

    name = "bleurt"

    def __init__(
        self,
        model: str = "Elron/bleurt-base-512",
        batch_size: int = 16,
        max_length: int = 512,
        device: str | None = None,
    ):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size, self.max_length = batch_size, max_length
        self.tokenizer, self.model = load(AutoModelForSequenceClassification, str(model), self.device)
        outputs = self.model.config.num_labels
        if outputs != 1:
            raise UserError(
                f"'{model}' has a head with {outputs} outputs; a BLEURT checkpoint has 1.",
                "Use Elron/bleurt-base-512, Elron/bleurt-large-512 or a local folder with one of them.",
            )

    @torch.inference_mode()
    def score(self, references: list[str], candidates: list[str]) -> list[float]:
        """One BLEURT score for each reference and its candidate."""
        if len(references) != len(candidates):
            raise ValueError(f"{len(references)} references, but {len(candidates)} candidates")
        scores = torch.zeros(len(references))
        columns = [references, candidates]
        for rows, batch in batches(self.tokenizer, columns, self.batch_size, self.max_length, self.device):
            scores[rows] = self.model(**batch).logits.squeeze(-1).float().cpu()
        return scores.tolist()
