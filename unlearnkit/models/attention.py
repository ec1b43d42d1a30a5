"""Attention for packed rows: every block (a prompt and its responses) attends to itself alone.

A packed row holds the examples of a step end to end. transformers keeps packed examples apart with a
(1, 1, T, T) mask; here attention runs block by block instead, which skips the empty part of that mask and lets
several responses share one prompt (each response sees the prompt and itself). Registered through transformers'
AttentionInterface; without `blocks` it is plain sdpa, so that generation is untouched.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from unlearnkit.errors import UserError

Block = tuple[int, int, torch.Tensor | None]  # start, end, (L, L) boolean mask or None for causal

# Checked by tests/models/test_attention.py on tiny random models of each architecture.
PACKS = {"llama", "opt", "qwen2", "olmo", "olmo2", "gpt2", "gpt_neox", "mistral", "phi3"}


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    blocks: list[Block] | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Block-diagonal attention over a (1, heads, T, head_dim) row, (1, T, heads, head_dim) out."""
    if blocks is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    grouped = query.shape[1] != key.shape[1]
    sizes = [end - start for start, end, _ in blocks]  # split's backward is one cat; a slice's fills a row of zeros
    parts = [
        F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling, dropout_p=dropout, enable_gqa=grouped
        )
        for q, k, v, (_, _, mask) in zip(
            query.split(sizes, dim=2), key.split(sizes, dim=2), value.split(sizes, dim=2), blocks, strict=True
        )
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register("packed", packed_attention)
AttentionMaskInterface.register("packed", sdpa_mask)


def use_packed_attention(model: PreTrainedModel) -> None:
    """Switch a loaded model to `packed_attention` (the same numbers as sdpa outside packed rows)."""
    model.set_attn_implementation("packed")


def packed_inputs(
    input_ids: torch.Tensor, position_ids: torch.Tensor, blocks: list[Block], keep: torch.Tensor
) -> dict[str, Any]:
    """Keyword arguments of a packed forward; `keep` (K,) are the positions whose logits are wanted."""
    # A ready 4-D mask stops transformers from building a (T, T) one; packed_attention never reads it.
    unused = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=input_ids.device)
    return {
        "input_ids": input_ids,
        "position_ids": position_ids,
        "attention_mask": unused,
        "blocks": blocks,
        "logits_to_keep": keep,
        "use_cache": False,
    }


@torch.no_grad()
def packing_error(model: PreTrainedModel) -> float:
    """The largest difference of packed and separate logits, relative to the largest logit, on random tokens."""
    first, second = torch.arange(3, 10, device=model.device), torch.arange(5, 17, device=model.device)
    alone = torch.cat([model(input_ids=ids[None], use_cache=False).logits[0] for ids in (first, second)])
    inputs = packed_inputs(
        torch.cat([first, second])[None],
        torch.cat([torch.arange(7), torch.arange(12)])[None].to(model.device),
        [(0, 7, None), (7, 19, None)],
        torch.arange(19, device=model.device),
    )
    return float((model(**inputs).logits[0] - alone).abs().max() / alone.abs().max())


def check_packing(model: PreTrainedModel) -> None:
    """Refuse an architecture whose packed examples would see one another.

    Raises:
        UserError: for an architecture outside `PACKS` that fails the check on random tokens.
    """
    kind = model.config.model_type
    if kind in PACKS:
        return
    try:
        error = packing_error(model)
    except (TypeError, ValueError, RuntimeError) as failure:
        error, reason = float("inf"), str(failure).splitlines()[0][:120]
    else:
        reason = f"packed and separate logits differ by {error:.1e}"
    if error > (1e-3 if model.dtype == torch.float32 else 5e-2):
        raise UserError(
            f"Architecture '{kind}' does not keep packed examples apart ({reason})",
            f"Use one of {', '.join(sorted(PACKS))}, or add it to unlearnkit/models/attention.py with its test",
        )
