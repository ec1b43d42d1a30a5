"""Tensors in a file that are not those of its config: refused or said, and never random numbers or a bare base."""

import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from two_lines import two_lines

from unlearnkit.models import load, tiny

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


def without(folder, made, change):
    """The tiny model's folder with other tensors in its file."""
    shutil.copytree(folder, made)
    tensors = load_file(made / "model.safetensors")
    save_file(change(tensors), made / "model.safetensors", {"format": "pt"})
    return made


MISSING = {
    "head": (lambda tensors: {n: t for n, t in tensors.items() if n != "lm_head.weight"}, "lm_head.weight"),
    "layer": (lambda tensors: {n: t for n, t in tensors.items() if ".layers.1." not in n}, "model.layers.1."),
    "norm": (lambda tensors: {n: t for n, t in tensors.items() if n != "model.norm.weight"}, "model.norm.weight"),
    "one bias short": (lambda tensors: {n: t for n, t in tensors.items() if "k_proj" not in n}, "k_proj.weight"),
    "a prefix": (lambda tensors: {f"base_model.model.{n}": t for n, t in tensors.items()}, "lm_head.weight"),
    "nothing": (lambda tensors: {"other": torch.zeros(1)}, "lm_head.weight"),
}


@pytest.mark.parametrize("case", MISSING)
@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_tensors_that_are_not_there_are_not_drawn_at_random(case, lora, tiny_folder, tmp_path):
    change, name = MISSING[case]
    folder = without(tiny_folder, tmp_path / "model", change)
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=lora))
    assert f"have no '{name}" in error.what or name in error.what
    assert "random numbers would stand there" in error.what and "save_pretrained" in error.fix


def test_a_shared_head_is_not_missing(tmp_path):
    config = tiny.config("qwen2")
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert load("mine", path=str(tmp_path), dtype="float32").max_length == 1024


OTHERWISE = {
    "nothing, as of a gathering that failed": (lambda tensors: {}, "lack"),
    "a prefix of torch.compile": (
        lambda tensors: {n.replace("base_model.model.", "base_model.model._orig_mod."): t for n, t in tensors.items()},
        "lack",
    ),
    "a layer short": (lambda tensors: {n: t for n, t in tensors.items() if ".layers.1." not in n}, "lack"),
    "a layer more": (
        lambda tensors: tensors | {n.replace(".layers.1.", ".layers.7."): t.clone() for n, t in tensors.items()},
        "have beside those of its config",
    ),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_an_adapters_tensors_that_are_not_those_of_its_config_are_not_left_out_in_silence(case, lora_model, tmp_path):
    folder, (change, said) = tmp_path / "adapter", OTHERWISE[case]
    lora_model.weights.make_trainable()
    lora_model.save(folder)
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    save_file(change(load_file(folder / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=LORA))
    assert error.what.startswith(f"The weights of the adapter in '{folder}' {said} 'base_model.model.")


def test_tensors_that_the_config_has_no_place_for_are_said(tiny_folder, tmp_path, capsys):
    folder = without(
        tiny_folder, tmp_path / "model", lambda tensors: tensors | {"model.layers.9.norm.weight": torch.zeros(2)}
    )
    for _ in range(2):
        load("mine", path=str(folder), dtype="float32", lora=LORA)
    assert capsys.readouterr().out.splitlines() == [
        f"Not read of '{folder}': 1 tensors that its config.json has no place for, such as 'model.layers.9.norm.weight'"
    ]


def test_weights_that_are_no_numbers_are_called_so(tiny_folder, tmp_path):
    odd = "model.layers.1.mlp.up_proj.weight"
    folder = without(tiny_folder, tmp_path / "model", lambda tensors: tensors | {odd: tensors[odd] * math.nan})
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=LORA))
    assert error.what == f"The weights of '{folder}' are no numbers (NaN or infinite), first in '{odd}'"


def test_an_adapters_weights_that_are_no_numbers_are_not_called_its_bases(lora_model, tmp_path):
    folder, odd = tmp_path / "adapter", "base_model.model.model.layers.1.mlp.up_proj.lora_B"
    lora_model.weights.make_trainable()
    lora_model.save(folder)
    (folder / "SHA256SUMS").unlink()
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(tensors | {f"{odd}.weight": tensors[f"{odd}.weight"] * math.nan}, folder / "adapter_model.safetensors")
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=LORA))
    expected = f"The weights of the adapter in '{folder}' are no numbers (NaN or infinite), first in '{odd}.default."
    assert error.what == f"{expected}weight'"


@pytest.mark.parametrize("scale", ["weight_scale", "weight_scale_inv", "qzeros", "weight.absmax"])
def test_quantised_weights_whose_config_does_not_say_how(scale, tiny_folder, tmp_path):
    name = f"model.layers.1.mlp.up_proj.{scale}"
    folder = without(tiny_folder, tmp_path / "model", lambda tensors: tensors | {name: torch.ones(1)})
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=LORA))
    assert error.what == (f"The weights in '{folder}' are quantised ('{name}'), and its config.json does not say how")
