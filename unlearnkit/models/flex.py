"""Attention of a packed row by `flex_attention`, on a GPU in one kernel that skips what no token sees.

Dong et al. 2024 (arXiv 2412.05496). The kernel is compiled once for rows of all lengths; a row says by numbers what
its tokens see, so that another row is no other program. It carries shared prompts, windows and softcaps, in 16 bits
and fp32. On a CPU torch computes it score by score and has no gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from unlearnkit.models.layout import Layout

BLOCK = 128  # tokens that the kernel takes or skips together
NARROWEST = 16  # width of a head that it takes
PROGRAMS = 64  # shapes of heads, types and kinds of passes, and not lengths, each compiled once in a process


def in_flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """(1, heads, T, head_dim) in, (1, T, heads, head_dim) out."""
    length, width, out_width = query.shape[2], query.shape[3], value.shape[3]
    tensors = [_padded(tensor) for tensor in (query, key, value)]
    made = _kernel(query.device.type)(
        *tensors,
        score_mod=None if softcap is None else _softcapping(softcap, query.device),
        block_mask=block_mask(layout, query.device, window),
        scale=width**-0.5 if scaling is None else scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return made[:, :, :length, :out_width].transpose(1, 2).contiguous()


def _padded(tensor: torch.Tensor) -> torch.Tensor:
    rows, columns = _blocks(tensor.shape[2]) * BLOCK - tensor.shape[2], max(0, NARROWEST - tensor.shape[3])
    padded = F.pad(tensor, (0, columns, 0, rows)) if rows or columns else tensor
    return padded.contiguous()  # other strides would be another program


def _blocks(length: int) -> int:
    return max(2, -(-length // BLOCK))  # one block would be a program of its own


@functools.cache
def _kernel(device: str) -> Callable[..., Any]:
    if device != "cuda":
        return flex_attention
    return compiled(flex_attention)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """For rows of any length, in at most `PROGRAMS` programs; a kind beyond these would run uncompiled."""
    limits: Any = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, PROGRAMS)
    return torch.compile(function, dynamic=True)


@functools.cache
def _softcapping(cap: float, device: torch.device) -> Callable[..., torch.Tensor]:
    with torch.inference_mode(False):  # a number would be compiled as one that changes, which the kernel does not take
        limit = torch.tensor(cap, device=device)

    def capped(
        score: torch.Tensor, _batch: torch.Tensor, _head: torch.Tensor, _query: torch.Tensor, _key: torch.Tensor
    ) -> torch.Tensor:
        return limit * torch.tanh(score / limit)

    return capped


def block_mask(layout: Layout, device: torch.device, window: int | None = None) -> BlockMask:
    """Who sees whom, made once a row, device and window.

    Query q sees key k where k <= q < until[k], the end of all that goes on from the key's piece, and where the key's
    place in the example is at least least[q]. What pads a row to whole blocks is a piece of its own.
    """
    return layout.once(("block mask", device, window), lambda: _block_mask(layout, device, window))


def _block_mask(layout: Layout, device: torch.device, window: int | None) -> BlockMask:
    length, count = sum(layout.sizes), _blocks(sum(layout.sizes))
    starts = [*(piece.start for piece in layout.pieces), length]
    ends = [*(piece.end for piece in layout.pieces), count * BLOCK]
    chains = [*layout.chains, []]
    last = list(ends)  # of a piece with all that goes on from it
    for number, chain in enumerate(layout.chains):
        for other in chain:
            last[other] = max(last[other], ends[number])
    firsts = [*(layout.before(number) for number in range(len(layout.pieces))), 0]
    table = torch.tensor([last, firsts, starts], dtype=torch.int32, device=device)
    sizes = torch.tensor([end - start for start, end in zip(starts, ends, strict=True)], device=device)
    until, first, start = table.repeat_interleave(sizes, dim=1, output_size=count * BLOCK).unbind()
    place = torch.arange(count * BLOCK, dtype=torch.int32, device=device) - start + first
    least = torch.zeros_like(place) if window is None else place - window + 1

    def sees(_batch: torch.Tensor, _head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return (key <= query) & (query < until[key]) & (place[key] >= least[query])

    # Pairs of pieces whose tokens see one another: of two blocks, how many pairs of tokens lie in such pairs.
    pairs = torch.tensor([(n, other) for n, chain in enumerate(chains) for other in (*chain, n)], device=device)
    low = torch.arange(0, count * BLOCK, BLOCK, device=device)
    begin, end = torch.tensor(starts, device=device)[:, None], torch.tensor(ends, device=device)[:, None]
    within = (torch.minimum(end, low + BLOCK) - torch.maximum(begin, low)).clamp(min=0).double()  # (pieces, blocks)
    seen = within[pairs[:, 0]].T @ within[pairs[:, 1]]
    some, every = (seen > 0).tril(), (seen == BLOCK * BLOCK).tril(-1)
    if window is not None:
        keys, queries = place.view(count, BLOCK), least.view(count, BLOCK)
        some &= keys.amax(1) >= queries.amin(1)[:, None]
        every &= keys.amin(1) >= queries.amax(1)[:, None]
    made = BlockMask.from_kv_blocks(*_listed(some & ~every), *_listed(every), BLOCK_SIZE=BLOCK, mask_mod=sees)
    for tensor in made.as_tuple():
        if isinstance(tensor, torch.Tensor):  # else the first row's number of blocks is compiled in
            torch._dynamo.maybe_mark_dynamic(tensor, list(range(2, tensor.dim())))
    return made


def _listed(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 1, n) how many blocks of keys each block of queries looks at, and (1, 1, n, n) these first."""
    order = torch.argsort(blocks.int(), dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.int()[None, None]
