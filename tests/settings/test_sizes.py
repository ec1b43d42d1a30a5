"""A model's size as its name or its config.json says it, and the rate that goes with it."""

import json

import pytest

from unlearnkit.models import tiny
from unlearnkit.settings.sizes import counted, parameters_of, rate, size_in_name

RATES = {"lora": {"200M": 1e-4, "1.5B": 5e-5, "any": 2e-5}, "whole": {"any": 1e-6}}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("SmolLM2-135M-Instruct", 135e6),
        ("Llama-2-7b-hf", 7e9),
        ("Qwen2.5-0.5B", 0.5e9),
        ("Mixtral-8x7B-v0.1", 56e9),
        ("Qwen3-30B-A3B", 30e9),
        ("model_1.3b_step100", 1.3e9),
        ("gemma-3-270m-it-4bit", 270e6),
        ("gpt2", None),
        ("phi-2", None),
        ("Beta2b3c", None),
        ("", None),
    ],
)
def test_sizes_in_names(name, size):
    assert size_in_name(name) == pytest.approx(size) if size else size_in_name(name) is None


@pytest.mark.parametrize("architecture", ["llama", "opt", "qwen2", "olmo", "gpt2", "gpt_neox"])
def test_counted_is_near_the_truth(architecture):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(tiny.config(architecture))
    true = sum(p.numel() for n, p in model.named_parameters() if "embed_positions" not in n and "wpe" not in n)
    assert 0.5 < counted(tiny.config(architecture).to_dict()) / true < 2


def test_a_config_inside_another_counts():
    text = {"hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 10, "intermediate_size": 16}
    assert counted({"model_type": "x", "text_config": text}) == counted(text) == 2 * (4 * 64 + 3 * 8 * 16) + 80
    assert counted({**text, "num_local_experts": 4}) == 2 * (4 * 64 + 3 * 8 * 16 * 4) + 80
    assert counted({}) is None


def test_where_the_size_is_looked_for(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({"n_embd": 8, "n_layer": 1, "vocab_size": 4}))
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "base")}))
    assert (
        parameters_of(str(tmp_path / "base"), None) == parameters_of(str(tmp_path), "a/B-7b") == 4 * 64 + 3 * 256 + 32
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "a/B-2B"}))
    assert parameters_of(str(tmp_path), None) == 2e9
    (tmp_path / "adapter_config.json").write_text("{")
    assert parameters_of(str(tmp_path), "a/B-7b") is None
    assert parameters_of("nowhere", None) is None
    assert parameters_of(None, "a/B-7b") == 7e9
    assert parameters_of(None, None) is None


@pytest.mark.parametrize(
    ("hub", "lora", "value"),
    [
        ("a/B-135M", {}, 1e-4),
        ("a/B-200M", {}, 1e-4),
        ("a/B-0.5B", {}, 5e-5),
        ("a/B-7B", {}, 2e-5),
        ("a/B", {}, 2e-5),
        (None, {}, 2e-5),
        ("a/B-135M", None, 1e-6),
    ],
)
def test_rates(hub, lora, value):
    assert rate(RATES, lora, None, hub) == value
