"""The checks of a machine: on the CPU at a tiny shape, and on a GPU where there is one."""

import math

import pytest
import torch
from gpu_checks import TERMS, Check, kernels, losses_and_gradients, start_values
from networks import folder

from unlearnkit import losses

ways = pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false"),
]
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=on_gpu)])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return folder("100K", tmp_path_factory.mktemp("weights"))


def failures(checks):
    return [(check.name, check.error) for check in checks if not check.passed]


def test_every_loss_is_checked():
    exported = {getattr(losses, name) for name in losses.__all__} - {losses.Answers, losses.Loss}
    assert {type(term) for term in TERMS.values()} == exported
    assert any(term.weight < 0 for term in TERMS.values())
    assert {term.mean for term in TERMS.values() if type(term) is losses.NLL} == {"tokens", "answers", "step"}


@devices
@ways
def test_losses_and_gradients_are_those_of_the_cpu_in_double(small, lora, device):
    checks = losses_and_gradients(small, lora, device)
    kinds = [("LoRA" if lora else "full") + way for way in ("", ", logits in pieces")]
    terms, whats = (*TERMS, "all terms"), ("loss", "gradient")
    names = [f"{what} of {name}, {kind}" for kind in kinds for name in terms for what in whats]
    assert [check.name for check in checks] == names
    assert not failures(checks)
    # fp32 is not fp64: an error of nothing would mean that nothing was compared.
    assert min(check.error for check in checks if check.name.startswith("gradient")) > 1e-9


@ways
def test_a_training_begins_with_the_values_of_two_equal_models(small, lora):
    checks = start_values(small, lora, "float32", limit=1e-5)
    assert len(checks) == 3
    assert not failures(checks)


@ways
def test_in_bf16_too(small, lora):
    assert not failures(start_values(small, lora, "bfloat16"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false")
@ways
def test_in_bf16_on_a_gpu_at_a_shape_that_fills_its_tiles(tmp_path, lora):
    assert not failures(start_values(folder("4M", tmp_path), lora, "bfloat16"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false")
def test_the_kernels_give_what_blocks_give():
    checks = kernels("cuda")
    assert len(checks) == 24
    assert not failures(checks)


def test_on_a_cpu_all_ways_are_blocks():
    checks = kernels("cpu")
    assert len({check.name for check in checks}) == 24
    assert not failures(checks)


def test_nan_passes_nothing():
    assert Check("x", 1.0, 1.0).passed
    assert not Check("x", math.nan, math.inf).passed
