"""Quantised weights: an adapter beside them is the same wherever it is loaded; what changes them is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from unlearnkit.errors import UserError
from unlearnkit.models import load, tiny

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
KINDS = {
    "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}
IDS = torch.arange(3, 40)[None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model in a few bits, by kind."""

    def made(kind):
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
        plain, stored = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp(kind)
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SIZES)).save_pretrained(plain)
        network = AutoModelForCausalLM.from_pretrained(plain, quantization_config=KINDS[kind], device_map="cpu")
        network.save_pretrained(stored)
        tiny.tokenizer().save_pretrained(stored)
        return stored

    return made


SIZES = {
    "vocab_size": 259, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "hidden_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_trained_beside_them_and_loads_as_it_was(kind, folder, tmp_path):
    from peft import AutoPeftModelForCausalLM

    stored = folder(kind)
    model = load(kind, path=str(stored), lora=LORA)
    with model.current() as network, torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(stored)(input_ids=IDS).logits
        torch.testing.assert_close(network(input_ids=IDS).logits, plain, rtol=0, atol=1e-5)
    model.weights.make_trainable()
    trained = [weight for weight in model.model.parameters() if weight.requires_grad]
    model.model(input_ids=IDS, labels=IDS).loss.backward()
    assert trained and all(weight.grad is not None for weight in trained)
    with torch.no_grad():
        for weight in trained:
            weight.add_(torch.randn_like(weight), alpha=0.1)
    with model.current() as network, torch.no_grad():
        learnt = network(input_ids=IDS).logits
    assert (learnt - plain).abs().max() > 0.01
    model.weights.save(tmp_path)
    with torch.no_grad():
        again = AutoPeftModelForCausalLM.from_pretrained(tmp_path)(input_ids=IDS).logits
    torch.testing.assert_close(again, learnt, rtol=0, atol=1e-5)
    with pytest.raises(UserError, match="quantised, so that none can be merged with an adapter"):
        model.weights.merged_copy()
    with pytest.raises(UserError, match="quantised, so that none can be split"):
        model.weights.check_split()


@pytest.mark.parametrize(
    ("lora", "key"),
    [
        (None, "model.lora=null"),
        ({**LORA, "bias": "all"}, "model.lora.bias=all"),
        ({**LORA, "modules_to_save": ["lm_head"]}, "model.lora.modules_to_save"),
        ({**LORA, "trainable_token_indices": [1]}, "model.lora.trainable_token_indices"),
    ],
)
@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors"])
def test_they_are_not_trained_themselves(method, lora, key, tmp_path):
    """Known from the config, before the library or any weights are looked for."""
    config = AutoConfig.for_model("llama", **SIZES).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": method}}))
    save_file({"unread": torch.zeros(1)}, tmp_path / "model.safetensors")
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=f"quantised, and {key} trains them"):
        load("own", path=str(tmp_path), lora=lora)
