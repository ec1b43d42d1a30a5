"""Packed equals separate, for every architecture family that a model config names."""

import random

import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.models import attention, flex, load_source, tiny
from unlearnkit.models.admission import packing_error
from unlearnkit.models.anatomy import PLACES
from unlearnkit.models.flex import block_mask, in_flex
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
@pytest.mark.parametrize("way", ["blocks", "varlen"])
def test_both_ways_are_the_masked_scores(way, window, monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", plain_varlen)
    monkeypatch.setattr(attention, "_varlen_takes", lambda *_: True)
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
@pytest.mark.parametrize("way", [pytest.param(way, marks=on_gpu) for way in ("auto", "varlen", "flex", "blocks")])
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


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 1, 7, 130])
@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_flex_is_the_masked_scores(seed, window, softcap):
    layout = drawn(seed)
    length = sum(layout.sizes)
    tensors = row(heads=4, key_heads=[4, 2, 1, 2][seed], width=[16, 8, 24, 16][seed], length=length)
    got = in_flex(*tensors, layout, 0.3, window, softcap)
    assert got.is_contiguous()
    torch.testing.assert_close(got, eager(*tensors, window, 0.3, layout, softcap), atol=2e-6, rtol=1e-5)


def test_a_kernel_skips_blocks_that_no_token_sees():
    apart = Layout([Piece(0, 256), Piece(256, 512)])
    mask = block_mask(apart, torch.device("cpu"))
    assert mask.kv_num_blocks.tolist() == [[[1, 1, 1, 1]]]  # the diagonal: by its mask
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1, 0, 1]]]
    assert mask.full_kv_indices[0, 0, 3, 0] == 2
    shared = Layout([Piece(0, 128), Piece(128, 384, continues=0), Piece(384, 512, continues=0)])
    mask = block_mask(shared, torch.device("cpu"))
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1, 2, 1]]]
    assert mask.full_kv_indices[0, 0, 3, 0] == 0
    near = block_mask(shared, torch.device("cpu"), window=64)
    assert (near.kv_num_blocks + near.full_kv_num_blocks).tolist() == [[[1, 2, 2, 2]]]
    assert block_mask(shared, torch.device("cpu"), window=64) is near


@torch.no_grad()
def test_rows_of_all_lengths_and_windows_are_one_program(monkeypatch):
    programs = []

    def compiler(graph, _inputs):
        programs.append(graph)
        return graph.forward

    compiled = torch.compile(flex.flex_attention, dynamic=True, backend=compiler)
    monkeypatch.setattr(flex, "_kernel", lambda device: compiled)
    for layout in (*map(drawn, range(3)), Layout([Piece(0, 256)]), Layout([Piece(0, 30)])):
        for window in (None, 9):
            tensors = [part.transpose(1, 2).contiguous().transpose(1, 2) for part in row(length=sum(layout.sizes))]
            got = in_flex(*tensors, layout, 0.3, window, None)
            torch.testing.assert_close(got, eager(*tensors, window, 0.3, layout), atol=2e-6, rtol=1e-5)
    assert len(programs) == 1
    torch._dynamo.reset()


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=on_gpu) for seed in range(3)])
def test_flex_and_its_gradients_on_a_gpu(seed, window, dtype, softcap):
    layout = drawn(seed)
    tensors = row("cuda", dtype, heads=8, key_heads=2, width=64, length=sum(layout.sizes))
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    got, _ = attention.packed_attention(
        *(torch.nn.Identity(), *tensors, None),
        layout=layout,
        scaling=0.3,
        sliding_window=window,
        softcap=softcap,
        way="flex",
    )
    expected = eager(*exact, window, 0.3, layout, softcap)
    limit = 1e-2 if dtype == torch.bfloat16 else 1e-4
    assert (got - expected).norm() < limit * expected.norm()
    for one, two in zip(gradients(got, tensors), gradients(expected, exact), strict=True):
        assert (one - two).norm() <= 2 * limit * two.norm()


@pytest.mark.parametrize("window", [None, 4])
def test_softcapped_blocks(window):
    tensors = row()
    got, _ = attention.packed_attention(
        torch.nn.Identity(), *tensors, None, layout=ROW, scaling=0.9, sliding_window=window, softcap=1.5
    )
    expected = eager(*tensors, window, 0.9, softcap=1.5)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    for one, two in zip(gradients(got, tensors), gradients(expected, tensors), strict=True):
        torch.testing.assert_close(one, two, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("way", "on_cuda", "dtype", "dropout", "softcap", "taken"),
    [
        ("auto", False, torch.bfloat16, 0.0, None, "blocks"),
        ("flex", False, torch.bfloat16, 0.0, None, "blocks"),
        ("auto", True, torch.bfloat16, 0.0, None, "varlen"),
        ("auto", True, torch.float32, 0.0, None, "blocks"),
        ("auto", True, torch.float32, 0.0, 30.0, "flex"),
        ("varlen", True, torch.float32, 0.0, None, "blocks"),  # KRS computes in the types that weights are stored in
        ("varlen", True, torch.bfloat16, 0.1, None, "blocks"),
        ("flex", True, torch.float32, 0.0, None, "flex"),
        ("flex", True, torch.bfloat16, 0.1, None, "blocks"),
        ("blocks", True, torch.bfloat16, 0.0, None, "blocks"),
    ],
)
def test_which_way_is_taken(way, on_cuda, dtype, dropout, softcap, taken, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    about = {"is_cuda": on_cuda, "dtype": dtype, "shape": (1, 4, 40, 64), "device": "cuda"}
    tensor = type("Tensor", (), {**about, "__len__": lambda self: 1})()
    assert attention.effective_way(way, tensor, tensor, dropout, softcap) == taken


def test_a_kernel_is_held_against_blocks_before_it_is_used(monkeypatch):
    kind = ((4, 2, 16, 16), torch.float32, torch.device("cpu"), True, None)
    monkeypatch.setattr(attention, "varlen_attn", plain_varlen)
    attention._check.__wrapped__("varlen", *kind)
    monkeypatch.setattr(attention, "varlen_attn", lambda *a, **k: 1.05 * plain_varlen(*a, **k))
    with pytest.raises(UserError, match="Attention by varlen is off by 1.0e-01 here") as caught:
        attention._check.__wrapped__("varlen", *kind)
    assert caught.value.fix == "Set model.attention=blocks"
    monkeypatch.setattr(attention, "varlen_attn", lambda *a, **k: 1 / 0)
    with pytest.raises(UserError, match="does not run here .ZeroDivisionError"):
        attention._check.__wrapped__("varlen", *kind)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("way", ["varlen", "flex"])
def test_what_takes_a_gpu_is_refused_before_weights_are_loaded(way, tiny_folder, monkeypatch):
    monkeypatch.setattr("unlearnkit.models.loading.network", lambda *_, **__: pytest.fail("weights were loaded"))
    with pytest.raises(UserError, match=f"model.attention={way} cannot be had: there is no GPU here") as caught:
        load_source("tiny", str(tiny_folder), "float32", None, Template(), way)
    assert caught.value.fix == "Set model.attention=auto, or leave it out"


def test_the_way_that_is_asked_for_is_that_of_the_model(tiny_folder):
    for way, name in (("auto", "packed"), ("blocks", "packed_blocks")):
        model = load_source("tiny", str(tiny_folder), "float32", None, Template(), way).model
        assert model.config._attn_implementation == name


def test_what_packed_rows_do_not_carry_is_said():
    with pytest.raises(attention.NotCarried, match="attention sinks"):
        attention.packed_attention(torch.nn.Identity(), *row(), None, layout=ROW, s_aux=torch.zeros(4))
