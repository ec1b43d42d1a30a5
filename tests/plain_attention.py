"""Attention of packed rows as it is defined: every score, then a mask made of positions."""

import random

import pytest
import torch

from unlearnkit.models.layout import Layout, Piece

# A whole example, a prompt with three answers, another example, a prompt with two.
ROW = Layout(
    [
        Piece(0, 9),
        Piece(9, 12),
        Piece(12, 17, continues=1),
        Piece(17, 18, continues=1),
        Piece(18, 25, continues=1),
        Piece(25, 29),
        Piece(29, 34),
        Piece(34, 36, continues=6),
        Piece(36, 40, continues=6),
    ]
)
# Kernels take 16 bits on a GPU alone; here its place is taken by the plain sequences that it is defined by.
on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false"),
]


def row(device="cpu", dtype=torch.float32, heads=4, key_heads=2, width=16, length=40):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, n, length, width, generator=generator).to(device, dtype).requires_grad_()
        for n in (heads, key_heads, key_heads)
    ]


def drawn(seed):
    """A row of examples, and prompts with some answers each, of a length that is no whole number of blocks."""
    choose, pieces, end = random.Random(seed), [], 0
    while len(pieces) < 6:
        for answer in range(1 + choose.randint(0, 3)):
            size = choose.randint(1, 150)
            pieces.append(Piece(end, end + size, continues=len(pieces) - answer if answer else None))
            end += size
    return Layout(pieces)


def visible(window, layout=ROW):
    """(T, T) who sees whom, token by token, from positions."""
    place, owner = [], []
    for number, piece in enumerate(layout.pieces):
        before = 0 if piece.continues is None else layout.sizes[piece.continues]
        place += [before + token - piece.start for token in range(piece.start, piece.end)]
        owner += [number] * (piece.end - piece.start)
    place, owner = torch.tensor(place), torch.tensor(owner)
    first = torch.tensor([-1 if piece.continues is None else piece.continues for piece in layout.pieces])[owner]
    related = (owner[None] == owner[:, None]) | (owner[None] == first[:, None])
    return related & (place[None] <= place[:, None]) & (place[:, None] - place[None] < (window or 10**9))


def eager(query, key, value, window, scale, layout=ROW, softcap=None):
    """Every score, then a mask."""
    copies = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(copies, 1), value.repeat_interleave(copies, 1)
    scores = query @ key.mT * scale
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    scores = scores.masked_fill(~visible(window, layout).to(query.device), -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2)


def gradients(out, tensors):
    return torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).view(out.shape).to(out)).sum(), tensors)
