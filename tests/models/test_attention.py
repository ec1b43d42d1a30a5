"""Packed equals separate, for every architecture family that a model config names."""

import pytest
import torch

from unlearnkit.models import attention, load_source, tiny
from unlearnkit.models.admission import packing_error
from unlearnkit.models.anatomy import PLACES
from unlearnkit.models.layout import Layout, Piece
from unlearnkit.models.packing import pack
from unlearnkit.models.templates import Template

ARCHITECTURES = sorted(PLACES)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request, tmp_path_factory):
    folder = tiny.write(tmp_path_factory.mktemp("model"), request.param)
    return load_source("tiny", str(folder), "float32", None, Template()).model


def separate_logits(model, prompt, response):
    """Plain: one example alone, no mask, no packing; logits that predict the response's tokens."""
    ids = torch.tensor([[*prompt, *response]])
    return model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]


@torch.no_grad()
def test_packed_equals_separate(model):
    assert packing_error(model) < 1e-5


@torch.no_grad()
def test_shared_prompts_equal_separate(model):
    prompt, other = (5, 6, 7, 8, 9), (11, 12)
    first, second, third = (20, 21, 22), (30, 31), (40, 41, 42, 43)
    packed = pack({"forget": [(prompt, first), (other, third)], "mismatched": [(prompt, second), (prompt, third)]})
    assert packed.input_ids.shape == (1, 5 + 2 + 1 + 3 + 2 + 3)
    logits = model(**packed.inputs()).logits[0]
    expected = [
        separate_logits(model, *example)
        for example in ((prompt, first), (other, third), (prompt, second), (prompt, third))
    ]
    torch.testing.assert_close(logits, torch.cat(expected), atol=2e-6, rtol=1e-5)


def test_gradients_equal_separate(model):
    examples = [((5, 6, 7), (8, 9)), ((5, 6, 7), (10, 11, 12))]
    model.requires_grad_(True)  # in eval mode: gpt2 and opt come with dropout
    model.zero_grad()
    packed = pack({"forget": examples})
    torch.nn.functional.cross_entropy(model(**packed.inputs()).logits[0], packed.labels).backward()
    together = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    logits = torch.cat([separate_logits(model, *example) for example in examples])
    torch.nn.functional.cross_entropy(logits, packed.labels).backward()
    apart = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(together) == len(apart)
    for one, two in zip(together, apart, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-3)


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


def row(device="cpu", dtype=torch.float32, heads=4, key_heads=2, width=16):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, n, 40, width, generator=generator).to(device, dtype).requires_grad_()
        for n in (heads, key_heads, key_heads)
    ]


def visible(window):
    """(40, 40) who sees whom, token by token, from positions."""
    place, owner, seen = [0] * 40, [0] * 40, torch.zeros(40, 40, dtype=torch.bool)
    for number, piece in enumerate(ROW.pieces):
        before = 0 if piece.continues is None else ROW.sizes[piece.continues]
        for token in range(piece.start, piece.end):
            place[token], owner[token] = before + token - piece.start, number
    for one in range(40):
        for two in range(40):
            related = owner[two] in (owner[one], ROW.pieces[owner[one]].continues)
            near = place[two] <= place[one] and (window is None or place[one] - place[two] < window)
            seen[one, two] = related and near
    return seen


def eager(query, key, value, window, scale):
    """Every score, then a mask."""
    copies = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(copies, 1), value.repeat_interleave(copies, 1)
    scores = (query @ key.mT * scale).masked_fill(~visible(window).to(query.device), -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2)


def gradients(out, tensors):
    return torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).view(out.shape).to(out)).sum(), tensors)


def plain_varlen(query, key, value, query_ends, key_ends, longest_query, longest_key, *, scale, window_size, **gqa):
    """What `varlen_attn` says it computes, a sequence at a time."""
    assert (longest_query, longest_key) == (query_ends.diff().max(), key_ends.diff().max())
    assert query_ends.dtype == key_ends.dtype == torch.int32
    before, after = window_size
    assert after == 0
    parts = []
    spans = (zip(ends.tolist(), ends.tolist()[1:], strict=False) for ends in (query_ends, key_ends))
    for (first, last), (key_first, key_last) in zip(*spans, strict=True):
        ours, theirs = (tensor[key_first:key_last].transpose(0, 1) for tensor in (key, value))
        asked = query[first:last].transpose(0, 1)
        places = torch.arange(ours.shape[1])
        distance = places[None] - places[-asked.shape[1] :, None]
        seen = (distance <= 0) & (distance >= (-before if before >= 0 else -(10**9)))
        copies = len(asked) // len(ours)
        ours, theirs = ours.repeat_interleave(copies, 0), theirs.repeat_interleave(copies, 0)
        scores = (asked @ ours.mT * scale).masked_fill(~seen, -torch.inf)
        parts.append((scores.softmax(-1) @ theirs).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("window", [None, 1, 2, 3, 4, 5, 8, 9, 10, 40])
@pytest.mark.parametrize("way", ["pieces", "varlen"])
def test_both_ways_are_the_masked_scores(way, window, monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", plain_varlen)
    query, key, value = row()
    got, _ = attention.packed_attention(
        torch.nn.Identity(), query, key, value, None, layout=ROW, scaling=0.3, sliding_window=window, way=way
    )
    expected = eager(query, key, value, window, 0.3)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    pairs = zip(gradients(got, [query, key, value]), gradients(expected, [query, key, value]), strict=True)
    for one, two in pairs:
        torch.testing.assert_close(one, two, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("window", [None, 1, 3, 5, 9])
@pytest.mark.parametrize(("heads", "key_heads", "width"), [(4, 4, 64), (4, 2, 128), (8, 1, 80)])
@pytest.mark.parametrize("way", [pytest.param(way, marks=on_gpu) for way in ("auto", "varlen", "pieces")])
def test_in_bf16_on_a_gpu_too(way, heads, key_heads, width, window):
    tensors = row("cuda", torch.bfloat16, heads, key_heads, width)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    got, _ = attention.packed_attention(
        torch.nn.Identity(), *tensors, None, layout=ROW, scaling=0.3, sliding_window=window, way=way
    )
    expected = eager(*exact, window, 0.3)
    assert (got - expected).norm() < 1e-2 * expected.norm()
    for one, two in zip(gradients(got, tensors), gradients(expected, exact), strict=True):
        assert (one - two).norm() <= 2e-2 * two.norm() + 1e-4  # under a window of 1 nothing moves the queries


def test_what_packed_rows_do_not_carry_is_said():
    for name, what in (("softcap", "softcapped attention scores"), ("s_aux", "attention sinks")):
        with pytest.raises(attention.NotCarried, match=what):
            attention.packed_attention(torch.nn.Identity(), *row(), None, layout=ROW, **{name: 30.0})
