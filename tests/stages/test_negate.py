"""theta_o - scale * (theta_bad - theta_o), against plain arithmetic on every weight."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from unlearnkit.models import LanguageModel, load_source, tiny
from unlearnkit.models.templates import Template
from unlearnkit.models.whole import WholeLineage
from unlearnkit.stages import Context, Negate
from unlearnkit.stages.negate import start_in

IDS = torch.tensor([[1, 51, 42, 75, 223, 35]])


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@torch.no_grad()
def disturb(model):
    """Stands for training: every trainable weight moves."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(torch.randn_like(parameter) * 0.1)


def keep_base(model, folder, **kwargs):
    model.save_pretrained(start_in(folder), **kwargs)
    return Context({}, 0, folder)


def tied(architecture):
    config = tiny.config(architecture)
    config.tie_word_embeddings = True
    torch.manual_seed(0)
    weights = WholeLineage(AutoModelForCausalLM.from_config(config), "nowhere", None)
    return LanguageModel("tied", tiny.tokenizer(), Template(), weights)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_full_weights(full_model, tmp_path, scale):
    original = weights(full_model.model)
    context = keep_base(full_model.model, tmp_path)
    disturb(full_model.model)
    bad = weights(full_model.model)
    negated = weights(Negate(scale)(full_model, context).model)
    for name, theta_o in original.items():
        assert not torch.equal(bad[name], theta_o)
        expected = 2 * theta_o - bad[name] if scale == 1 else 1.5 * theta_o - 0.5 * bad[name]
        torch.testing.assert_close(negated[name], expected, atol=1e-6, rtol=1e-6)


def test_full_weights_in_many_shards(full_model, tmp_path):
    original = weights(full_model.model)
    context = keep_base(full_model.model, tmp_path, max_shard_size="20KB")
    assert len(list(start_in(tmp_path).glob("*.safetensors"))) > 3
    disturb(full_model.model)
    bad = weights(full_model.model)
    negated = weights(Negate()(full_model, context).model)
    for name, theta_o in original.items():
        torch.testing.assert_close(negated[name], 2 * theta_o - bad[name], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "opt", "gpt2", "gpt_neox", "phi3"])
def test_tied_weights(tmp_path, architecture):
    model = tied(architecture)
    assert model.model.get_input_embeddings().weight is model.model.get_output_embeddings().weight
    original = weights(model.model)
    context = keep_base(model.model, tmp_path)
    disturb(model.model)
    bad = weights(model.model)
    with Negate().preview(model, context):
        previewed = weights(model.model)
    restored = weights(model.model)
    negated = weights(Negate()(model, context).model)
    for name, theta_o in original.items():
        expected = 2 * theta_o - bad[name]
        torch.testing.assert_close(negated[name], expected, atol=1e-6, rtol=1e-6)
        assert torch.equal(previewed[name], negated[name])
        assert torch.equal(restored[name], bad[name])
    assert model.model.get_input_embeddings().weight is model.model.get_output_embeddings().weight


def test_a_preview_restores_full_weights_exactly(full_model, tmp_path):
    context = keep_base(full_model.model, tmp_path)
    disturb(full_model.model)
    bad = weights(full_model.model)
    with Negate().preview(full_model, context) as previewed:
        inside = weights(previewed.model)
    after = weights(full_model.model)
    assert all(torch.equal(after[name], bad[name]) for name in bad)
    assert [path.name for path in tmp_path.iterdir()] == [start_in(tmp_path).name]  # and cleans up
    final = weights(Negate()(full_model, context).model)
    assert all(torch.equal(final[name], inside[name]) for name in final)


def test_a_base_without_some_tensor(full_model, tmp_path):
    context = keep_base(full_model.model, tmp_path)
    file = start_in(tmp_path) / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.norm.weight"]
    save_file(tensors, file)
    with pytest.raises(ValueError, match="no weights in .* for model.norm.weight"):
        Negate()(full_model, context)


def test_no_base_at_all(full_model, tmp_path):
    with pytest.raises(ValueError, match="no weights in"):
        Negate()(full_model, Context({}, 0, tmp_path))


def plain_merge(model, scaling):
    """W and W + scaling * B @ A of every adapted weight (of an embedding, its transpose)."""
    tensors = dict(model.model.named_parameters())
    original, merged = {}, {}
    for name, weight in tensors.items():
        if not name.endswith(".base_layer.weight"):
            continue
        stem = name.removesuffix("base_layer.weight")
        if f"{stem}lora_A.default.weight" in tensors:
            delta = tensors[f"{stem}lora_B.default.weight"] @ tensors[f"{stem}lora_A.default.weight"]
        else:
            delta = (tensors[f"{stem}lora_embedding_B.default"] @ tensors[f"{stem}lora_embedding_A.default"]).T
        key = stem.removeprefix("base_model.model.") + "weight"
        original[key], merged[key] = weight.detach().clone(), (weight + scaling * delta).detach()
    return original, merged


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("targets", ["all-linear", ["embed_tokens", "q_proj"]])
def test_lora(tiny_folder, tmp_path, scale, targets):
    lora = {"r": 4, "lora_alpha": 12, "target_modules": targets}
    model = load_source("tiny", str(tiny_folder), "float32", lora, Template())
    model.weights.make_trainable()
    disturb(model.model)
    original, bad = plain_merge(model, scaling=12 / 4)
    assert len(original) == (14 if targets == "all-linear" else 3)
    Negate(scale)(model, Context({}, 0, tmp_path))
    merged = weights(model.model.merge_and_unload())
    for name, theta_o in original.items():
        assert (bad[name] - theta_o).abs().max() > 1e-2
        expected = theta_o - scale * (bad[name] - theta_o)
        torch.testing.assert_close(merged[name], expected, atol=1e-6, rtol=1e-5)


def test_a_preview_restores_an_adapter_exactly(lora_model, tmp_path):
    lora_model.weights.make_trainable()
    disturb(lora_model.model)
    bad = weights(lora_model.model)
    context = Context({}, 0, tmp_path)
    with Negate(0.3).preview(lora_model, context) as previewed:
        inside = weights(previewed.model)
    after = weights(lora_model.model)
    assert all(torch.equal(after[name], bad[name]) for name in bad)
    assert not all(torch.equal(inside[name], bad[name]) for name in bad)
    final = weights(Negate(0.3)(lora_model, context).model)
    assert all(torch.equal(final[name], inside[name]) for name in final)


def test_negating_twice_is_no_change(lora_model, tmp_path):
    lora_model.weights.make_trainable()
    disturb(lora_model.model)
    bad, context = weights(lora_model.model), Context({}, 0, tmp_path)
    Negate()(Negate()(lora_model, context), context)
    assert all(torch.equal(weight, bad[name]) for name, weight in weights(lora_model.model).items())


def test_the_base_stays_under_a_negated_adapter(lora_model, tiny_folder, tmp_path):
    lora_model.weights.make_trainable()
    disturb(lora_model.model)
    Negate()(lora_model, Context({}, 0, tmp_path))
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    with torch.no_grad(), lora_model.loaded() as base:
        torch.testing.assert_close(base(input_ids=IDS).logits, plain(input_ids=IDS).logits, atol=1e-6, rtol=0)
