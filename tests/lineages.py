"""Models in all the ways that a lineage holds them, taught and moved, for the tests of `unlearnkit.models.lineage`."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from unlearnkit.models import Template, load_source

IDS = torch.tensor([[1, 51, 42, 75, 223, 35, 99, 7]])
ADAPTERS = {
    "plain": {},
    "rank patterns": {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"down_proj": 32}},
    "rslora": {"use_rslora": True},
    "modules to save": {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["lm_head"]},
    "embeddings saved": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "all biases": {"bias": "all"},
    "biases of LoRA's": {"bias": "lora_only"},
    "token rows": {"target_modules": ["q_proj"], "trainable_token_indices": [51, 42]},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "DoRA": {"use_dora": True},
    "one layer": {"layers_to_transform": [1], "target_modules": ["q_proj", "v_proj"]},
}
FULL, MERGED = "full weights", "merged"
# Architectures with biases and tied embeddings.
KINDS = {"llama": {}, "qwen2": {"tie_word_embeddings": True}, "opt": {}}
SAMPLE = ("plain", "modules to save", "all biases", FULL, MERGED, "llama", "taught", 0.4)


def sampled(values):
    """The values, of which the suite runs a sample and `-m long` the rest."""
    return [value if value in SAMPLE else pytest.param(value, marks=pytest.mark.long) for value in values]


EVERY = sampled([*ADAPTERS, FULL])
AND_MERGED = [*EVERY, MERGED]
ARCHITECTURES = sampled(KINDS)


def settings(name, kind="llama"):
    if name == FULL:
        return None
    lora = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **ADAPTERS[name]}
    if kind == "opt" and "rank_pattern" in lora:
        lora["alpha_pattern"] = {"fc2": 32}
    return lora


def loaded(folder, lora):
    torch.manual_seed(3)
    return load_source("tiny", folder, "float32", lora, Template())


@torch.no_grad()
def logits(network):
    return network.eval()(input_ids=IDS).logits


def learn(model, seed=0):
    """Move all that is trained by random amounts, as a training would; returns the logits then."""
    model.weights.make_trainable()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return logits(model.model)


def seen(model):
    """The logits of the three states."""
    found = {}
    for state in ("loaded", "start", "current"):
        with model.state(state) as network:
            found[state] = logits(network)
    return found


def close(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


def taught(folder, lora, tmp_path, merge=False):
    """A model at its start, taught something, and the logits of `loaded` and `start`."""
    teacher = loaded(folder, lora)
    first = logits(teacher.model)
    second = learn(teacher, seed=7)
    teacher.save(tmp_path / "taught")
    model = loaded(folder, lora)
    model.weights.teach(str(tmp_path / "taught"), merge)
    return model, first, second


def read(folder):
    """As a reader without this project does it."""
    if not (folder / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(network, folder)
