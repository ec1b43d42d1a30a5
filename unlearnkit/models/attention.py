"""Attention for packed rows: every example attends to itself alone, the answers to one prompt to it and to themselves.

A packed row holds the examples of a step end to end. transformers keeps packed examples apart with a
(1, 1, T, T) mask; here the empty part of that mask is not computed. On a GPU in 16 bits one variable-length kernel
takes the whole row, elsewhere sdpa takes a piece at a time. Registered through transformers' AttentionInterface;
without a `layout` it is plain sdpa, so that generation is untouched.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from unlearnkit.models.layout import Layout

ACCEPTED = frozenset(inspect.signature(varlen_attn).parameters)  # they differ by torch's version

AUTO, PIECES, KERNEL = "auto", "pieces", "varlen"
WAYS = {AUTO: "packed", PIECES: "packed_pieces", KERNEL: "packed_varlen"}  # way -> its name in transformers


class NotCarried(Exception):
    """An architecture asks something of attention that packed rows do not do."""


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    layout: Layout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    way: str = AUTO,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """(B, heads, T, head_dim) in, (B, T, heads, head_dim) out.

    Args:
        layout: of the row; without it plain sdpa under `attention_mask`.
        sliding_window: of this layer, tokens; a token sees itself and those before it within it.
        way: see `use_packed_attention`.

    Raises:
        NotCarried: softcapped scores, or sinks.
    """
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    for name, what in (("softcap", "softcapped attention scores"), ("s_aux", "attention sinks")):
        if kwargs.get(name) is not None:
            raise NotCarried(what)
    if way == KERNEL or (way == AUTO and _kernel_takes(query, value, dropout)):
        return _in_one_kernel(query, key, value, layout, scaling, sliding_window), None
    return _piece_by_piece(query, key, value, layout, scaling, dropout, sliding_window), None


def _piece_by_piece(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> torch.Tensor:
    # split's backward is one cat; a slice's fills a row of zeros
    queries, keys, values = (tensor.split(layout.sizes, dim=2) for tensor in (query, key, value))
    parts = []
    for number, (piece, mask) in enumerate(zip(layout.pieces, layout.masks(query.device, window), strict=True)):
        own_keys, own_values, of = keys[number], values[number], piece.continues
        if of is not None:
            own_keys = torch.cat([keys[of], own_keys], dim=2)
            own_values = torch.cat([values[of], own_values], dim=2)
        parts.append(
            F.scaled_dot_product_attention(
                queries[number],
                own_keys,
                own_values,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scaling,
                dropout_p=dropout,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _kernel_takes(query: torch.Tensor, value: torch.Tensor, dropout: float) -> bool:
    """FlashAttention's limits: 16 bits, no dropout here, heads of up to 256 on Ampere and later."""
    width = query.shape[3]
    return (
        value.is_cuda
        and {"window_size", "scale"} <= ACCEPTED
        and value.dtype in (torch.bfloat16, torch.float16)
        and len(query) == 1
        and not dropout
        and width % 8 == 0
        and width <= 256
        and torch.cuda.get_device_capability(value.device) >= (8, 0)
    )


def _in_one_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    row = layout.sequences(query.device)
    # Rotary embeddings in fp32 lift queries and keys out of the type that autocast gives values.
    queries, keys, values = (tensor[0].transpose(0, 1).to(value.dtype) for tensor in (query, key, value))
    if row.keys is not None:
        keys, values = keys.index_select(0, row.keys), values.index_select(0, row.keys)
    more: dict[str, Any] = {}
    if queries.shape[1] != keys.shape[1]:
        if "enable_gqa" in ACCEPTED:
            more["enable_gqa"] = True
        else:  # torch < 2.12
            copies = queries.shape[1] // keys.shape[1]
            keys, values = keys.repeat_interleave(copies, dim=1), values.repeat_interleave(copies, dim=1)
    ends = (row.query_ends, row.key_ends, row.longest_query, row.longest_key)
    before = window - 1 if window is not None and window <= row.longest_key else -1
    made: Any = varlen_attn(queries, keys, values, *ends, scale=scaling, window_size=(before, 0), **more)
    return made[None]


for _way, _name in WAYS.items():
    AttentionInterface.register(_name, partial(packed_attention, way=_way))
    AttentionMaskInterface.register(_name, sdpa_mask)


def use_packed_attention(model: PreTrainedModel, way: str = AUTO) -> None:
    """Switch a loaded model to `packed_attention` (the same numbers as sdpa outside packed rows).

    Args:
        way: "auto", "pieces" (sdpa for each piece of a row) or "varlen" (one kernel a row, on a GPU in 16 bits).
    """
    # cuDNN's attention makes a plan for every new length, tens of milliseconds each, and lengths never come again.
    torch.backends.cuda.enable_cudnn_sdp(False)
    model.set_attn_implementation(WAYS[way])


def packed_inputs(
    input_ids: torch.Tensor, position_ids: torch.Tensor, layout: Layout, keep: torch.Tensor
) -> dict[str, Any]:
    """Keyword arguments of a packed forward; `keep` (K,) are the positions whose logits are wanted."""
    # A ready 4-D mask stops transformers from building a (T, T) one; packed_attention never reads it.
    unused = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=input_ids.device)
    return {
        "input_ids": input_ids,
        "position_ids": position_ids,
        "attention_mask": unused,
        "layout": layout,
        "logits_to_keep": keep,
        "use_cache": False,
    }
