"""A model changed beside itself, or through an adapter more: what it is meanwhile, and that it is again what it was."""

import copy

import pytest
import torch
from attacked import logits, trained

from unlearnkit.models import load_source
from unlearnkit.models.copies import changed
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.templates import Template

LORA = {"r": 2, "lora_alpha": 4, "target_modules": "all-linear"}


def learn(attacked):
    torch.manual_seed(5)
    attacked.weights.make_trainable()
    some = {name for name, parameter in attacked.model.named_parameters() if parameter.requires_grad}
    for name, parameter in attacked.model.named_parameters():
        if "lora_B" in name and parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return some


@pytest.mark.parametrize("kind", ["fresh", "trained", "taught"])
def test_an_adapter_more_is_trained_alone_and_leaves_nothing_behind(kind, tiny_model, tiny_folder, tmp_path):
    model = tiny_model
    if kind != "fresh":
        trained(model)
    if kind == "taught":
        model.save(tmp_path / "taught")
        model = load_source("tiny", str(tiny_folder), "float32", model.weights.lora, Template())
        model.weights.teach(str(tmp_path / "taught"))
    held = copy.deepcopy({n: (p, p.requires_grad) for n, p in model.model.named_parameters()})
    own, start, loaded = (logits(model, state) for state in ("current", "start", "loaded"))
    with changed(model, LORA) as attacked:
        assert torch.allclose(logits(attacked), own, atol=1e-5)
        some = learn(attacked)
        assert some and all(".over." in name for name in some)
        assert not torch.allclose(logits(attacked), own, atol=1e-3)
        assert torch.allclose(logits(attacked, "start"), start, atol=1e-6)
        assert torch.allclose(logits(attacked, "loaded"), loaded, atol=1e-6)
        assert not torch.allclose(logits(attacked), own, atol=1e-3)  # it is on again
        assert {name for name, p in attacked.model.named_parameters() if p.requires_grad} == some
    assert torch.equal(logits(model), own) and torch.equal(logits(model, "start"), start)
    after = dict(model.model.named_parameters())
    assert list(after) == list(held)
    assert all(torch.equal(p, after[n]) and flag == after[n].requires_grad for n, (p, flag) in held.items())


def test_dropout_of_what_was_learnt_is_off_meanwhile(tiny_folder):
    model = trained(load_source("tiny", str(tiny_folder), "float32", {**LORA, "lora_dropout": 0.5}, Template()))
    ids = torch.arange(3, 11)[None]
    with changed(model, LORA) as attacked, torch.no_grad():
        first, second = (attacked.model.train()(ids).logits for _ in range(2))
        assert torch.equal(first, second)
    with torch.no_grad():
        assert not torch.equal(model.model.train()(ids).logits, model.model(ids).logits)


@pytest.mark.parametrize("lora", [None, LORA])
def test_nothing_can_be_kept_by_what_a_copy_is(lora, tiny_model):
    assert fingerprint(tiny_model)
    with changed(tiny_model, lora) as attacked, pytest.raises(TypeError, match="no origin"):
        fingerprint(attacked)
    assert fingerprint(tiny_model)
