"""Attention for packed rows: every example attends to itself alone, whatever of it stands once for several.

A packed row holds the examples of a step end to end. transformers keeps packed examples apart with a
(1, 1, T, T) mask; here the empty part of that mask is not computed. On a GPU in 16 bits one variable-length kernel
takes the whole row, elsewhere sdpa takes a block (a piece of the row) at a time. Registered through transformers'
AttentionInterface; without a `layout` it is plain sdpa, so that generation is untouched.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from unlearnkit.errors import UserError, first_line
from unlearnkit.models.flex import in_flex
from unlearnkit.models.layout import Layout, Piece

ACCEPTED = frozenset(inspect.signature(varlen_attn).parameters)  # they differ by torch's version

AUTO, BLOCKS, VARLEN, FLEX = "auto", "blocks", "varlen", "flex"
Way = Literal["auto", "blocks", "varlen", "flex"]
WAYS = {AUTO: "packed", BLOCKS: "packed_blocks", VARLEN: "packed_varlen", FLEX: "packed_flex"}  # names in transformers
OFF = 2e-2  # how far a kernel may be from blocks in fp32, of the norm; 16 bits give 5e-3
TRIED = Layout([Piece(0, 190), Piece(190, 240), Piece(240, 260, 1), Piece(260, 310, 2), Piece(310, 330, 1)])


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
    softcap: float | None = None,
    way: str = AUTO,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """(B, heads, T, head_dim) in, (B, T, heads, head_dim) out.

    Args:
        layout: of the row; without it plain sdpa under `attention_mask`.
        sliding_window: of this layer, tokens; a token sees itself and those before it within it.
        softcap: scores s become softcap tanh(s / softcap) before they are masked.
        way: see `use_packed_attention`.

    Raises:
        NotCarried: sinks.
        UserError: a kernel that is off on this machine.
    """
    if layout is None:
        if softcap is not None:
            return _softcapped(query, key, value, attention_mask, scaling, dropout, softcap).transpose(1, 2), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    if kwargs.get("s_aux") is not None:
        raise NotCarried("attention sinks")
    chosen = effective_way(way, query, value, dropout, softcap)
    if chosen != BLOCKS:
        heads = (query.shape[1], key.shape[1], query.shape[3], value.shape[3])
        _check(chosen, heads, value.dtype, value.device, sliding_window is not None, softcap)
    return _attend(chosen, query, key, value, layout, scaling, dropout, sliding_window, softcap), None


def effective_way(way: str, query: torch.Tensor, value: torch.Tensor, dropout: float, softcap: float | None) -> str:
    """The way that is taken of such tensors: the one asked for, or blocks where its kernel does not take them."""
    if way in (AUTO, VARLEN) and softcap is None and _varlen_takes(query, value, dropout):
        return VARLEN
    if way == FLEX or (way == AUTO and softcap is not None):
        return FLEX if value.is_cuda and len(query) == 1 and not dropout else BLOCKS
    return BLOCKS


def _attend(
    way: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
    softcap: float | None = None,
) -> torch.Tensor:
    if way != BLOCKS:
        # Rotary embeddings in fp32 lift queries and keys out of the type that autocast gives values.
        query, key = query.to(value.dtype), key.to(value.dtype)
    if way == VARLEN:
        return _in_varlen(query, key, value, layout, scaling, window)
    if way == FLEX:
        return in_flex(query, key, value, layout, scaling, window, softcap)
    return _in_blocks(query, key, value, layout, scaling, dropout, window, softcap)


def _in_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    dropout: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    # split's backward is one cat; a slice's fills a row of zeros
    queries, keys, values = (tensor.split(layout.sizes, dim=2) for tensor in (query, key, value))
    parts = []
    for number, (chain, mask) in enumerate(zip(layout.chains, layout.masks(query.device, window), strict=True)):
        own_keys, own_values = keys[number], values[number]
        if chain:
            own_keys = torch.cat([*(keys[other] for other in chain), own_keys], dim=2)
            own_values = torch.cat([*(values[other] for other in chain), own_values], dim=2)
        if softcap is not None:
            parts.append(_softcapped(queries[number], own_keys, own_values, mask, scaling, dropout, softcap))
            continue
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


def _softcapped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    dropout: float,
    softcap: float,
) -> torch.Tensor:
    """softmax(cap tanh(q k / cap)) v, which sdpa has not; (B, heads, T, head_dim), without a mask causal."""
    copies = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(copies, dim=1), value.repeat_interleave(copies, dim=1)
    scores = query @ key.mT * (query.shape[3] ** -0.5 if scaling is None else scaling)
    if mask is None:
        mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=query.device).tril(key.shape[2] - query.shape[2])
    capped = (softcap * torch.tanh(scores / softcap)).masked_fill(~mask, torch.finfo(scores.dtype).min)
    return F.dropout(capped.softmax(-1, dtype=torch.float32).to(value.dtype), dropout) @ value


@functools.cache
def _check(
    way: str,
    heads: tuple[int, int, int, int],
    dtype: torch.dtype,
    device: torch.device,
    windowed: bool,
    softcap: float | None,
) -> None:
    """A kernel against blocks, output and gradients, once a process and kind of tensors.

    Args:
        heads: how many of queries and of keys, how wide, and how wide the values'.

    Raises:
        UserError: it does not run, or is off.
    """
    queries, keys, width, out = heads
    generator = torch.Generator().manual_seed(0)
    sizes = [(1, number, 330, wide) for number, wide in ((queries, width), (keys, width), (keys, out))]
    made = []
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            drawn = [torch.randn(size, generator=generator).to(device, dtype) for size in sizes]
            for each, computed_in in ((way, dtype), (BLOCKS, torch.float32)):
                q, k, v = (tensor.to(computed_in).requires_grad_() for tensor in drawn)
                more = {"scaling": width**-0.5, "window": 50 if windowed else None, "softcap": softcap}
                output = _attend(each, q, k, v, TRIED, **more)
                made.append([output.detach(), *torch.autograd.grad(output.float().square().sum(), (q, k, v))])
        error = max(float((one - two).norm() / two.norm()) for one, two in zip(*made, strict=True))
        why = "" if error <= OFF else f"is off by {error:.1e} here"
    except torch.OutOfMemoryError:
        raise
    except Exception as failure:  # what a compiler or a driver has to say
        why = f"does not run here ({type(failure).__name__}: {first_line(failure, 120)})"
    if why:
        raise UserError(f"Attention by {way} {why}", "Set model.attention=blocks")


def _varlen_takes(query: torch.Tensor, value: torch.Tensor, dropout: float) -> bool:
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


def _in_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    row = layout.sequences(query.device)
    queries, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
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
    AttentionInterface.register(_name, functools.partial(packed_attention, way=_way))
    AttentionMaskInterface.register(_name, sdpa_mask)


@functools.cache
def break_graphs() -> None:
    """What torch compiles ends before attention, and begins again behind it, from now on in this process."""
    outside = torch.compiler.disable(packed_attention)
    for way, name in WAYS.items():
        AttentionInterface.register(name, functools.partial(outside, way=way))


def use_packed_attention(model: PreTrainedModel, way: str = AUTO) -> None:
    """Switch a loaded model to `packed_attention` (the same numbers as sdpa outside packed rows).

    Args:
        way: "blocks" (sdpa for each piece of a row), "varlen" (a variable-length kernel a row, on a GPU in 16 bits),
            "flex" (`flex_attention`, on a GPU), or "auto": on a GPU varlen where it can, flex for softcapped scores;
            else blocks. What a kernel does not take, such as dropout, is given to blocks.
    """
    # cuDNN's attention makes a plan for every new length, tens of milliseconds each, and lengths never come again.
    torch.backends.cuda.enable_cudnn_sdp(False)
    model.set_attn_implementation(WAYS[way])


def check_way(way: str, computed_in: torch.dtype, config: Any) -> None:
    """Before weights are loaded: can `model.attention` be had on this machine, for a model of this config?

    Raises:
        UserError: it cannot.
    """
    why = ""
    if way in (VARLEN, FLEX) and not torch.cuda.is_available():
        why = "there is no GPU here"
    elif way == VARLEN and computed_in == torch.float32:
        why = "it takes 16 bits, and the model computes in float32"
    elif way == VARLEN and not {"window_size", "scale"} <= ACCEPTED:
        why = f"torch {torch.__version__} is too old for it"
    elif way == VARLEN and torch.cuda.get_device_capability() < (8, 0):
        why = f"{torch.cuda.get_device_name()} is too old for it"
    elif way == VARLEN and softcaps(config):
        why = f"it does not carry the softcapped scores of '{config.model_type}'"
    if why:
        raise UserError(f"model.attention={way} cannot be had: {why}", "Set model.attention=auto, or leave it out")


def softcaps(config: Any) -> bool:
    """An architecture whose attention scores are softcapped, for which transformers has no sdpa."""
    return getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None


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
