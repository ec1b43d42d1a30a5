"""A packed row's examples as a padded batch, for what is published of padded batches alone."""

from __future__ import annotations

from typing import Any

import torch

from unlearnkit.models.packing import Packed


def pad_of(tokenizer: Any) -> int:
    """What fills a batch up: its own token, or the one that ends a text where it has none."""
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((token for token in ids if token is not None), 0)


def padded(row: Packed, stream: str, length: int | None, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A stream's examples as people batch them: (n, L) tokens, padded behind, and (n, L) where they are attended to.

    An example's last token, which predicts nothing, is left out as in the packed row.
    """
    ids = row.input_ids[0].tolist()
    texts = [[ids[place] for place in places] for places in row.places[stream]]
    size = max(len(text) for text in texts) if length is None else length
    tokens = torch.full((len(texts), size), pad, dtype=torch.long)
    seen = torch.zeros_like(tokens)
    for place, text in enumerate(texts):
        tokens[place, : len(text)], seen[place, : len(text)] = torch.tensor(text[:size]), 1
    return tokens.to(row.input_ids.device), seen.to(row.input_ids.device)
