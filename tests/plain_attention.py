"""Attention of packed rows as it is defined: every score, then a mask made of positions."""

import random

import pytest
import torch

from unlearnkit.models.layout import Layout, Piece

# A whole example, a prompt with three answers, another example, a prompt with an answer and two that begin alike.
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
        Piece(36, 37, continues=6),
        Piece(37, 38, continues=8),
        Piece(38, 40, continues=8),
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
    """A row of examples and of trees of beginnings, of a length that is no whole number of blocks."""
    choose, pieces, end = random.Random(seed), [], 0

    def tree(depth, of):
        nonlocal end
        size = choose.randint(1, 150)
        pieces.append(Piece(end, end + size, continues=of))
        end, number = end + size, len(pieces) - 1
        for _ in range(choose.randint(0, 3) if depth < 3 else 0):
            tree(depth + 1, number)

    while len(pieces) < 6:
        tree(0, None)
    return Layout(pieces)


def visible(window, layout=ROW):
    """(T, T) who sees whom, token by token, from positions."""
    place, owner = [], []
    for number, piece in enumerate(layout.pieces):
        first = 0 if piece.continues is None else 1 + place[layout.pieces[piece.continues].end - 1]
        place += [first + token - piece.start for token in range(piece.start, piece.end)]
        owner += [number] * (piece.end - piece.start)
    related = torch.eye(len(layout.pieces), dtype=torch.bool)
    for number, piece in enumerate(layout.pieces):
        if piece.continues is not None:
            related[number] |= related[piece.continues]
    place, owner = torch.tensor(place), torch.tensor(owner)
    related = related[owner][:, owner]
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
