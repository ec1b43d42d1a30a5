"""Timings beside the plain way: both compute the same, and what does not fit is known beforehand."""

import math

import pytest
import torch
from gpu_times import METHODS, least_memory, rows
from measure import flops
from networks import parameters, restriction, trained_parameters

from unlearnkit.models.attention import packed_attention
from unlearnkit.models.layout import Layout, Piece

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false"),
]
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=on_gpu)])


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@devices
def test_the_plain_way_computes_the_same(lora, device):
    made = {row.method: row for row in rows("100K", lora, device, batch=1, count=1, length=160)}
    assert list(made) == list(METHODS)
    for row in made.values():
        assert row.ours.loss == pytest.approx(row.plain.loss, rel=1e-5 if device == "cpu" else 1e-2)
        assert min(row.ours.seconds, row.ours.flops, row.ours.peak, row.tokens) > 0
    assert made["npo"].ours.flops < made["npo"].plain.flops  # padding and prompts' logits are left out
    assert made["npo"].plain.loss == pytest.approx(20 * math.log(2), rel=1e-5 if device == "cpu" else 1e-2)


def test_parameters_are_those_of_the_models_the_shapes_are_of():
    assert parameters("7B") == 6_738_415_616  # Llama 2 7B
    assert parameters("1B") == 1_100_048_384  # TinyLlama


def test_adamw_on_all_weights_holds_sixteen_bytes_a_weight_and_a_copy_two():
    assert least_memory(10, lora=False, compares=False) == 160
    assert least_memory(10, lora=False, compares=True) == 180
    assert least_memory(10, lora=True, compares=True) == 20
    assert least_memory(10, lora=False, compares=True, trained=2) == 84


def test_rmu_trains_three_down_projections():
    assert trained_parameters("7B", restriction("rmu")) == 3 * 4096 * 11008
    assert trained_parameters("7B", restriction("npo")) == 6_738_415_616


def test_what_cannot_fit_is_not_tried(monkeypatch):
    monkeypatch.setattr("gpu_times.device_memory", lambda device: 40 * 10**9)
    made = list(rows("7B", False, "cpu", batch=8, count=1))
    assert [(row.method, row.ours, row.plain) for row in made] == [(name, None, None) for name in METHODS]
    assert made[1].least == 16 * 6_738_415_616


def test_flops_of_a_product():
    left, right = torch.ones(3, 5), torch.ones(5, 7)
    assert flops(lambda: left @ right) == 2 * 3 * 5 * 7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false")
def test_flops_of_a_row_in_one_kernel_are_those_of_its_pieces():
    layout = Layout([Piece(0, 16), Piece(16, 40, continues=0), Piece(40, 56, continues=0), Piece(56, 64)])
    shapes = [(1, 4, 64, 64)] * 3
    query, key, value = (torch.randn(s, device="cuda", dtype=torch.bfloat16, requires_grad=True) for s in shapes)

    def row(way):
        packed_attention(torch.nn.Identity(), query, key, value, None, layout=layout, way=way)[0].sum().backward()

    row("varlen")  # the first is held against blocks too
    assert flops(lambda: row("varlen")) == 7 * 2 * 4 * 64 * (16 * 16 + 24 * 40 + 16 * 32 + 8 * 8)


def test_flops_of_attention_with_fewer_key_heads():
    query = torch.randn(1, 4, 16, 8, requires_grad=True)
    key, value = (torch.randn(1, 2, 16, 8, requires_grad=True) for _ in range(2))
    attention = torch.nn.functional.scaled_dot_product_attention

    def both():
        attention(query, key, value, is_causal=True, enable_gqa=True).sum().backward()

    product = 2 * 4 * 16 * 16 * 8  # 4 heads of (16, 8) by (8, 16)
    assert flops(lambda: attention(query.detach(), key.detach(), value.detach(), enable_gqa=True)) == 2 * product
    assert flops(both) == 7 * product
