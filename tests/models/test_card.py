"""The card's code block loads the folder that it stands in, and the card says what older versions do not read."""

import re

import pytest
import saved
import torch
import yaml
from forked import python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearnkit.models import tiny
from unlearnkit.models.card import model_card, unread
from unlearnkit.models.saving import absolute
from unlearnkit.models.templates import Template

QUESTION = "What is the capital of France?"
TEMPLATES = {
    "chat": Template(),
    "system": Template(system='Say "no", it\'s best'),
    "plain": Template(text="### Question: {prompt}\n ### Answer:", separator=" "),
}


def card(**given):
    filled = {"title": "t", "about": "a", "tags": ["npo"], "template": Template(), "weights": "float32", **given}
    return model_card(**filled)


def run_code(text, folder):
    """What the card's code block prints, run beside the model."""
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    done = python("-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@torch.no_grad()
def answer(model, tokenizer, template, autocast=None):
    """The same answer by hand, from the tokens that a run asks with."""
    ids = template.encode_prompt(tokenizer, QUESTION)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast is not None):
        made = model.generate(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=64, do_sample=False
        )
    return tokenizer.decode(made[0, len(ids) :], skip_special_tokens=True)


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("chat", "it's a {base}"),
        ("plain", "it's a {base}"),
        *(pytest.param(asked, "base", marks=pytest.mark.long) for asked in TEMPLATES),
    ],
)
def test_the_code_of_an_adapters_card(tmp_path, asked, place):
    base = saved.write_model(tmp_path / place, "llama-llama3")
    folder = saved.write_adapter(tmp_path / "run" / "model", base, "llama-llama3", "bias")
    text = card(template=TEMPLATES[asked], adapter_over=str(base))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    expected = answer(model, AutoTokenizer.from_pretrained(folder), TEMPLATES[asked])
    assert run_code(text, folder.parent) == expected + "\n"
    assert expected


@pytest.mark.parametrize(
    ("weights", "autocast"),
    [
        ("float32", "bfloat16"),
        *(pytest.param(weights, None, marks=pytest.mark.long) for weights in ("float32", "bfloat16")),
    ],
)
def test_the_code_of_a_full_models_card(tmp_path, weights, autocast):
    folder = saved.write_model(tmp_path / "model", "qwen2")
    text = card(weights=weights, autocast=autocast, base_model="Qwen/Qwen2-0.5B")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, weights)).eval()
    assert run_code(text, tmp_path) == answer(model, tiny.tokenizer(), Template(), autocast) + "\n"
    assert weights in text
    assert ("autocast" in text) == (autocast is not None)


def test_the_code_asks_on_the_runs_day_and_stops_where_it_stopped(tmp_path):
    folder = saved.write_model(tmp_path / "model", "qwen2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "Today: {{ strftime_now('%d %b %Y') }}{{ date_string }}" + tiny.CHAT
    tokenizer.save_pretrained(folder)
    template = Template(date="2031-01-02", arguments={"enable_thinking": False})
    text = template.prompt(tokenizer, QUESTION)
    assert text.startswith("Today: 02 Jan 203102 Jan 2031")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = template.encode_prompt(tokenizer, QUESTION)
    tokens = model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False)[0, len(ids) :].tolist()
    place = next(place for place, token in enumerate(tokens) if place > 2 and token not in tokens[:place])
    said = run_code(card(template=template, dated=True, ends=[2, tokens[place]]), tmp_path)
    assert said == tokenizer.decode(tokens[: place + 1], skip_special_tokens=True) + "\n"


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_front_matter_names_a_hub_id_or_a_folder_without_its_path():
    assert front(card(base_model="ORG/NAME", adapter_over="/home/someone/cache/x")) == {
        "base_model": "ORG/NAME",
        "library_name": "peft",
        "tags": ["unlearning", "npo"],
    }
    assert front(card(adapter_over="/home/someone/llama: 7b"))["base_model"] == "llama: 7b"
    assert front(card(base_model="/home/someone/x"))["library_name"] == "transformers"


def test_the_versions_the_licence_and_further_parts_are_in_the_card():
    text = card(notes=["One thing.", "Another."], licence="apache-2.0", parts=["## More\n\nwords\n"])
    assert "4.45.2 with PEFT 0.13.2" in text
    assert "- One thing.\n- Another.\n" in text
    assert text.endswith("## More\n\nwords\n") and "license: apache-2.0" in text
    assert "license" not in card()


ROPE = {"rope_type": "default", "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 256}


@pytest.mark.parametrize(
    ("config", "adapter", "said"),
    [
        ({"model_type": "gpt2"}, None, None),
        ({"model_type": "llama", "rope_theta": 1e4, "rope_parameters": ROPE}, {"r": 4, "peft_type": "LORA"}, None),
        ({"model_type": "llama", "rope_theta": 1e4}, None, None),  # written by transformers 4.x
        ({"model_type": "llama", "rope_parameters": ROPE}, None, "takes its own defaults instead"),
        ({"model_type": "llama", "rope_theta": 1e4}, {"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"model_type": "gpt_neox"}, {"modules_to_save": ["lm_head"]}, "which transformers 4.x calls embed_out"),
        ({"model_type": "gpt_neox"}, {"target_modules": ["query_key_value"], "modules_to_save": None}, None),
        ({"model_type": "mixtral"}, {"target_modules": ["model.layers.0.mlp.gate"]}, "calls block_sparse_moe"),
        ({"model_type": "somenew"}, None, "somenew was not tried"),
        ({"model_type": "olmo2", "rope_theta": 1e4}, None, "came with transformers 4.47"),
        (
            {"model_type": "mistral", "rope_theta": 1e4, "rope_parameters": {**ROPE, "rope_type": "llama3"}},
            None,
            "4.45 leaves out the rope scaling (llama3)",
        ),
        (
            {"model_type": "qwen2", "rope_theta": 1e4, "rope_parameters": YARN, "max_position_embeddings": 1024},
            None,
            "computes yarn from max_position_embeddings",
        ),
        (
            {"model_type": "qwen2", "rope_theta": 1e4, "rope_parameters": YARN, "max_position_embeddings": 256},
            None,
            None,
        ),
        (
            {"model_type": "phi3", "rope_theta": 1e4, "rope_parameters": {**ROPE, "partial_rotary_factor": 0.75}},
            None,
            "leaves out the partial_rotary_factor",
        ),
        ({"model_type": "olmo", "rope_theta": 1e4, "rope_parameters": YARN}, None, "stops at the rope scaling (yarn)"),
        ({"model_type": "gemma2", "rope_theta": 1e4}, None, "attn_implementation='eager'"),
    ],
)
def test_what_older_versions_do_not_read_is_said(config, adapter, said):
    notes = unread(config, adapter)
    assert (said in " ".join(notes)) if said else not notes


def test_a_hub_id_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("ORG/NAME") == "ORG/NAME"
