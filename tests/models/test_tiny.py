"""The tiny model: one token a byte, weights that depend on the seed alone."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearnkit.errors import UserError
from unlearnkit.models import tiny
from unlearnkit.models.anatomy import PLACES


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_one_token_a_byte():
    made = tiny.tokenizer()
    assert len(made) == 259
    for text in ("A b\n\tc", "naïve – 日本 🙂", "".join(map(chr, range(1, 256)))):
        ids = made(text)["input_ids"]
        assert len(ids) == len(text.encode())
        assert made.decode(ids) == text


def test_special_tokens():
    made = tiny.tokenizer()
    assert (made.pad_token_id, made.bos_token_id, made.eos_token_id) == (0, 1, 2)
    assert made("<s>a</s>")["input_ids"] == [1, 67, 2]


def test_the_tokenizer_survives_saving(tiny_folder):
    read = AutoTokenizer.from_pretrained(tiny_folder)
    assert read("<s>a b</s>")["input_ids"] == [1, 67, 223, 68, 2]
    assert read.chat_template == tiny.CHAT


def test_weights_depend_on_the_seed_alone(tmp_path, tiny_folder):
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    same = weights(tiny.write(tmp_path / "same"))
    assert torch.equal(torch.random.get_rng_state(), state)  # and the caller's random numbers are left alone
    other = weights(tiny.write(tmp_path / "other", seed=1))
    expected = weights(tiny_folder)
    assert all(torch.equal(same[name], expected[name]) for name in expected)
    assert not torch.equal(other["lm_head.weight"], expected["lm_head.weight"])


@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_every_architecture_is_tiny(architecture):
    model = AutoModelForCausalLM.from_config(tiny.config(architecture))
    assert model.config.model_type == architecture
    assert model.config.max_position_embeddings == 1024
    assert sum(parameter.numel() for parameter in model.parameters()) < 100_000


def test_load_makes_it_once_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    first = tiny.load(lora={"r": 2})
    (folder,) = tmp_path.glob("models/*/tiny-llama")
    made = (folder / "model.safetensors").stat().st_mtime_ns
    second = tiny.load("again", dtype="bfloat16", lora={"r": 2})
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert len(list((tmp_path / "models").iterdir())) == 1
    assert (first.name, first.model.dtype, first.dtype) == ("tiny", torch.float32, torch.float32)
    assert (second.name, second.model.dtype, second.dtype) == ("again", torch.bfloat16, torch.bfloat16)


@pytest.mark.parametrize("architecture", ["t5", "vit", "nosuch", ""])
def test_what_is_no_causal_language_model_is_refused(architecture):
    with pytest.raises(UserError, match=f"^model.architecture={architecture} is no causal language model"):
        tiny.config(architecture)
