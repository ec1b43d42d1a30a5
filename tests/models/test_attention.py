"""Packed equals separate, for every architecture family that a model config names."""

import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.models import load_source, tiny
from unlearnkit.models.attention import PACKS, check_packing, packing_error
from unlearnkit.models.packing import pack
from unlearnkit.models.templates import Template

ARCHITECTURES = sorted(PACKS)


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


def test_a_model_that_mixes_examples_is_refused(tmp_path):
    folder = tiny.write(tmp_path, "llama")
    model = load_source("tiny", str(folder), "float32", None, Template()).model
    forward = model.forward
    # An architecture that ignores the blocks: its packed examples see one another.
    model.forward = lambda **inputs: forward(
        **{k: v for k, v in inputs.items() if k in ("input_ids", "logits_to_keep")}
    )
    model.config.model_type = "novel"
    with pytest.raises(UserError, match="'novel' does not keep packed examples apart"):
        check_packing(model)
