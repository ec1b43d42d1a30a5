"""Attention over a row whose questions share a beginning: each attends to it and to itself, and to nothing else.

`packed_attention` masks one block of all questions; here each question's scores are computed alone, a tenth of them
for ten questions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from unlearnkit.models.anatomy import bare
from unlearnkit.models.attention import packed_attention


@dataclass
class AfterPrefix:
    """`blocks` of a packed row: the first `prefix` tokens, then the questions' own (start, end, mask).

    Masks are (own, prefix + own), True where the row's token may see the column's.
    """

    prefix: int
    own: list[tuple[int, int, torch.Tensor]]


def after_prefix(prefix: int, spans: list[tuple[int, int]], device: torch.device | str) -> AfterPrefix:
    """The blocks of questions at these spans of the row, in order and without gaps."""
    own = []
    for start, end in spans:
        causal = torch.ones(end - start, prefix + end - start, dtype=torch.bool, device=device).tril(prefix)
        own.append((start, end, causal))
    return AfterPrefix(prefix, own)


def prefixed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    blocks: Any = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """(B, heads, T, head_dim) in, (B, T, heads, head_dim) out, for a model in eval mode."""
    if not isinstance(blocks, AfterPrefix):
        return packed_attention(module, query, key, value, attention_mask, blocks=blocks, scaling=scaling, **kwargs)
    grouped, prefix = query.shape[1] != key.shape[1], blocks.prefix
    first_key, first_value = key[:, :, :prefix], value[:, :, :prefix]
    parts = [
        F.scaled_dot_product_attention(
            query[:, :, :prefix], first_key, first_value, is_causal=True, scale=scaling, enable_gqa=grouped
        )
    ]
    for start, end, mask in blocks.own:
        parts.append(
            F.scaled_dot_product_attention(
                query[:, :, start:end],
                torch.cat([first_key, key[:, :, start:end]], dim=2),
                torch.cat([first_value, value[:, :, start:end]], dim=2),
                attn_mask=mask,
                scale=scaling,
                enable_gqa=grouped,
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register("prefixed", prefixed_attention)
AttentionMaskInterface.register("prefixed", sdpa_mask)


@contextlib.contextmanager
def probed(model: Any) -> Iterator[None]:
    """The model in eval mode, with this attention, for the length of a `with`."""
    network = bare(model)
    before, training = network.config._attn_implementation, model.training
    network.set_attn_implementation("prefixed")
    model.eval()
    try:
        yield
    finally:
        network.set_attn_implementation(before)
        model.train(training)
