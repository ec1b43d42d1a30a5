"""Counts of known models without their weights, and where the sizes come from."""

import pytest
import torch
from omegaconf import OmegaConf

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.plan.sizes import architecture, sizes_of, skeleton

KNOWN = OmegaConf.to_container(OmegaConf.load(configuration.FOLDER / "plan.yaml").plan.architectures)
LLAMA = "meta-llama/Llama-2-7b-hf"


def config(hub):
    sizes = dict(KNOWN[hub])
    return architecture({"name": "given", "hub": f"nowhere/{hub}"}, {f"nowhere/{hub}": sizes})[0]


@pytest.mark.parametrize(
    ("hub", "parameters"),
    [  # as the hub's model pages and index files count them
        (LLAMA, 6_738_415_616),
        ("meta-llama/Llama-2-7b-chat-hf", 6_738_415_616),
        ("meta-llama/Llama-2-13b-hf", 13_015_864_320),
        ("Qwen/Qwen1.5-7B-Chat", 7_721_324_544),
        ("allenai/OLMo-7B-Instruct-hf", 6_888_095_744),
        ("facebook/opt-2.7b", 2_651_596_800),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_543_714_304),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen3-4B", 4_022_468_096),
        ("google/gemma-3-1b-it", 999_885_952),
        ("microsoft/Phi-3.5-mini-instruct", 3_821_079_552),
        ("HuggingFaceH4/zephyr-7b-beta", 7_241_732_096),
    ],
)
def test_every_known_model_has_its_published_size(hub, parameters):
    sizes = sizes_of(skeleton(config(hub), None, torch.bfloat16))
    assert (sizes.parameters, sizes.trainable) == (parameters, parameters)
    assert sizes.weights == sizes.trained_bytes == 4 * parameters  # fp32 masters


def test_lora_on_q_and_v():
    lora = {"r": 32, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
    sizes = sizes_of(skeleton(config(LLAMA), lora, torch.bfloat16))
    adapter = 32 * 2 * 32 * (4096 + 4096)  # layers, projections, r, in + out
    assert sizes.trainable == adapter == 16_777_216
    assert sizes.parameters == 6_738_415_616 + adapter
    assert sizes.weights == 2 * 6_738_415_616 + 4 * adapter  # frozen in bf16, the adapter in fp32


def test_a_folder_wins_over_the_hub(tiny_folder):
    found, tokenizer = architecture({"name": "x", "path": str(tiny_folder), "hub": LLAMA}, KNOWN)
    assert (found.hidden_size, found.num_hidden_layers) == (32, 2) and tokenizer.vocab_size == 259


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"name": "x"}, "Model 'x' names no weights"),
        ({"name": "x", "path": "nowhere"}, "model.path=nowhere holds no model"),
        ({"name": "x", "hub": "meta-llama/Llama-2-7b-fh"}, "Did you mean 'meta-llama/Llama-2-7b-hf'?"),
    ],
)
def test_sizes_that_are_not_known(model, said, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        architecture(model, KNOWN)
    assert said in error.value.what
