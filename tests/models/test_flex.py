"""Attention of packed rows by `flex_attention`, against every score behind a mask."""

import pytest
import torch
from plain_attention import drawn, eager, gradients, on_gpu, row

from unlearnkit.models import attention, flex
from unlearnkit.models.flex import block_mask, in_flex
from unlearnkit.models.layout import Layout, Piece


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
