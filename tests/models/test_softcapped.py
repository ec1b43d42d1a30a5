"""Gemma 2, whose attention scores are softcapped: against transformers' eager attention, which computes it plainly."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from unlearnkit.models import load_source, tiny
from unlearnkit.models.packing import pack
from unlearnkit.models.templates import Template

PROMPT, OTHER = tuple(range(5, 25)), (11, 12)
EXAMPLES = [(PROMPT, (20, 21, 22)), (OTHER, (40, 41, 42, 43)), (PROMPT, (30, 31))]
on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch.cuda.is_available() is false"),
]
ways = pytest.mark.parametrize("way", ["blocks", "auto", pytest.param("flex", marks=on_gpu)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A window of 16 in every other layer, and a cap that scores of random weights feel."""
    made = tiny.write(tmp_path_factory.mktemp("model"), "gemma2")
    network = AutoModelForCausalLM.from_pretrained(made, attn_implementation="eager")
    network.config.attn_logit_softcapping = 0.05
    for layer in network.model.layers:
        torch.nn.init.normal_(layer.self_attn.q_proj.weight, std=0.5)
    network.save_pretrained(made)
    return made


def loaded(folder, way):
    return load_source("own", str(folder), "float32", None, Template(), way).model


def plain(folder, like):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").to(like.device).eval()


@ways
def test_losses_and_gradients_are_those_of_eager_attention(folder, way):
    model = loaded(folder, way).requires_grad_(True)
    expected = plain(folder, model)
    packed = pack({"forget": EXAMPLES}).to(model.device)
    loss = torch.nn.functional.cross_entropy(model(**packed.inputs()).logits[0], packed.labels)
    loss.backward()
    rows = []
    for prompt, answer in EXAMPLES:
        ids = torch.tensor([[*prompt, *answer]], device=model.device)
        rows.append(expected(input_ids=ids).logits[0, len(prompt) - 1 : -1])
    other = torch.nn.functional.cross_entropy(torch.cat(rows), packed.labels)
    other.backward()
    assert loss.item() == pytest.approx(other.item(), rel=1e-5)
    for (name, one), two in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert (one.grad - two.grad).norm() <= 1e-4 * two.grad.norm() + 1e-7, name


@torch.no_grad()
def test_the_cap_is_felt(folder):
    model = loaded(folder, "blocks")
    ids = torch.tensor([[*PROMPT, *OTHER]], device=model.device)
    capped = model(input_ids=ids).logits
    for layer in model.model.layers:
        layer.self_attn.attn_logit_softcapping = None
    assert (model(input_ids=ids).logits - capped).norm() > 1e-3 * capped.norm()


@torch.no_grad()
def test_generation_and_padded_batches_too(folder):
    model = loaded(folder, "auto")
    expected = plain(folder, model)
    ids = torch.tensor([[*PROMPT], [*[0] * 18, *OTHER]], device=model.device)
    mask = (ids != 0).long()
    settings = {"attention_mask": mask, "max_new_tokens": 8, "do_sample": False, "output_logits": True}
    settings["return_dict_in_generate"] = True
    one, two = (network.generate(ids, **settings) for network in (model, expected))
    torch.testing.assert_close(torch.stack(one.logits), torch.stack(two.logits), atol=1e-5, rtol=1e-4)
