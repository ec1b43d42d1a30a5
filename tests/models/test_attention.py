"""Packed equals separate, for every architecture family that a model config names."""

import pytest
import torch
from plain_attention import ROW, eager, gradients, on_gpu, row

from unlearnkit.errors import UserError
from unlearnkit.models import attention, load_source, tiny
from unlearnkit.models.admission import packing_error
from unlearnkit.models.anatomy import PLACES
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
    streams = {"forget": [(prompt, first), (other, third)], "mismatched": [(prompt, second), (prompt, third)]}
    packed = pack(streams, shared=4)
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
