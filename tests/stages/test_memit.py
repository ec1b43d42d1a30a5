"""Memit on tiny models: what it changes and what it leaves, in every architecture; the base after it; bad settings."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from unlearnkit.data.examples import Example, Fact
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import NLL
from unlearnkit.models import load_source, tiny
from unlearnkit.models.anatomy import PLACES, anatomy
from unlearnkit.models.templates import Template
from unlearnkit.stages import Context, Finetune, Memit
from unlearnkit.stages.covariance import Text
from unlearnkit.stages.memit import keys_and_states
from unlearnkit.stages.objectives import Search

RAW = Template("{prompt}", " ", closed=False)
FACTS = [
    Example("a", "The tower of London stands in", "England", subject="London"),
    Example("b", "Oslo lies in", "Norway", subject="Oslo"),
    Example("c", "The capital of Italy is", "Rome", subject="Italy"),
]
IDS = torch.arange(5, 17)[None]


@pytest.fixture
def context(tmp_path):
    return Context({"facts": Shuffled("facts", FACTS)}, seed=0, folder=tmp_path, stage="memit")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(architecture, lora, dtype) -> a tiny model of four layers."""

    def load(architecture="llama", lora=None, dtype="float32"):
        folder = tmp_path_factory.getbasetemp() / f"deep-{architecture}"
        if not folder.exists():
            small = tiny.config(architecture)
            sizes = {
                key: value for key, value in small.to_dict().items() if key != "layer_types"
            }  # made for two layers
            config = type(small)(**{**sizes, "num_hidden_layers": 4, "n_layer": 4})
            torch.manual_seed(0)
            AutoModelForCausalLM.from_config(config).save_pretrained(folder)
            tiny.tokenizer().save_pretrained(folder)
        return load_source("deep", str(folder), dtype, lora, RAW)

    return load


def memit(objective="empty", **settings):
    search = Search(objective, steps=8, learning_rate=0.02, decay=0.0)  # states of tiny models are short
    defaults = {"last_layer": 2, "layers": 2, "moment_weight": 1e-3, "contexts": 2, "batch_size": 2}
    return Memit(search, Text("embedded"), **{**defaults, **settings})


@torch.no_grad()
def logits(model):
    return model(IDS, use_cache=False).logits


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"], ids=str)
@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_only_the_edited_value_vectors_change(architecture, dtype, made, context, capsys):
    # Without LoRA weights are kept in fp32.
    lora = {"r": 2, "target_modules": "all-linear"} if dtype == "bfloat16" else None
    model = made(architecture, lora, dtype)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    assert memit()(model, context) is model
    after = model.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {f"{anatomy(model.model)[number].value_vectors_name}.weight" for number in (1, 2)}
    assert all(value.dtype == before[name].dtype and value.isfinite().all() for name, value in after.items())
    told = capsys.readouterr().out
    assert "MEMIT (empty): 3 facts written into the value vectors of layers 1 to 2" in told


@pytest.mark.parametrize("objective", ["empty", "entropy"])
def test_the_states_are_reached_where_nothing_holds_them_back(objective, made, context):
    """Up to what contexts and layers share out: with the bare prompt and hardly any lambda the states are exact."""
    model = made()
    memit(objective, contexts=0, moment_weight=1e-9)(model, context)
    told = json.loads((context.folder / "memit.json").read_text())
    assert told["reached"] > 0.95 and [layer["layer"] for layer in told["layers"]] == [1, 2]
    assert all(fact["loss_after"] < fact["loss_before"] for fact in told["facts"])
    assert [fact["id"] for fact in told["facts"]] and told["settings"]["search"]["objective"] == objective
    assert 0 < context.cost["memit"]["seconds"]["value"] and context.cost["memit"]["peak_memory_gb"]["value"] > 0


def test_the_objective_is_reached_by_the_model_itself(made, context):
    """After the edit the bare prompts' loss is what the search had said of its states."""
    model = made()
    stage = memit(contexts=0, moment_weight=1e-9)
    requests = stage._requests(model, context)
    found = stage._search(model, requests, 2)
    stage(model, context)
    _, states = keys_and_states(model, requests, 2, 2)
    torch.testing.assert_close(states, found.states, atol=0.02, rtol=0.05)


def test_more_lambda_reaches_less(made, context):
    reached = []
    for weight in (1e-6, 1e2, 1e6):
        memit(moment_weight=weight)(made(), context)
        reached.append(json.loads((context.folder / "memit.json").read_text())["reached"])
    assert reached[0] > reached[1] > reached[2] and abs(reached[2]) < 0.05


def test_the_same_seed_says_the_same(made, context):
    weights = []
    for seed in (0, 0, 1):
        context.seed = seed
        model = memit()(made(), context)
        weights.append(anatomy(model.model)[1].value_vectors.weight.clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("lora", [{"r": 2, "target_modules": "all-linear"}, None])
def test_the_base_is_still_there_after_the_edit(lora, made, context, tmp_path):
    model = made(lora=lora)
    base = logits(model.model)
    memit()(model, context)
    edited = logits(model.model)
    assert not torch.equal(edited, base)
    with model.loaded() as network:
        assert torch.equal(logits(network), base)
    assert torch.equal(logits(model.model), edited)
    model.save(tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    torch.testing.assert_close(logits(loaded), edited)


def test_an_adapter_before_and_training_after_the_edit(made, context, examples, tmp_path):
    """With an adapter the edit goes below it, and what is saved is both."""
    model = made(lora={"r": 2, "target_modules": "all-linear"})
    base = logits(model.model)
    context.streams["forget"] = Shuffled("forget", examples["forget"])
    train = Finetune({"forget": NLL("forget")}, 2, 2, arguments={"learning_rate": 0.05, "disable_tqdm": True})
    train(model, context)
    trained = logits(model.model)
    memit()(model, context)
    edited = logits(model.model)
    assert isinstance(model.model, PeftModel) and not torch.equal(edited, trained)
    train(model, context)
    with model.loaded() as network:
        assert torch.equal(logits(network), base)
    model.save(tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    torch.testing.assert_close(logits(loaded), logits(model.model), atol=1e-4, rtol=1e-4)


def test_layers_by_default_and_outside_the_model():
    stage = memit(last_layer=None, layers=4)
    assert stage.chosen_layers(28) == [5, 6, 7, 8] and stage.chosen_layers(30) == [5, 6, 7, 8]
    assert stage.chosen_layers(32) == [6, 7, 8, 9] and stage.chosen_layers(2) == [0]
    assert memit(last_layer=23, layers=1).chosen_layers(32) == [23]
    for last, layers in ((31, 4), (2, 4), (-1, 1), (5, 0)):
        with pytest.raises(UserError, match="cannot be rewritten: the model has 0 to 31"):
            memit(last_layer=last, layers=layers).chosen_layers(32)


def test_lambda_is_scaled_by_the_keys_width():
    assert memit(moment_weight=None)._moment_weight(16384) == 15000
    assert memit(moment_weight=None)._moment_weight(1536) == pytest.approx(1406.25)
    assert memit(moment_weight=7)._moment_weight(1536) == 7


def test_bad_settings(made, context):
    context.streams["facts"] = Shuffled("facts", [Example("x", "What is it?", "It", subject="Oslo")])
    with pytest.raises(UserError, match="Example 'x': the subject 'Oslo' is not in its prompt"):
        memit()(made(), context)


def test_the_layers_that_the_facts_name():
    stage = memit(last_layer="facts", layers=4)
    assert stage.chosen_layers(32, last_by_facts=23) == [20, 21, 22, 23]  # Layer - 3 to Layer
    assert stage.chosen_layers(32) == [6, 7, 8, 9]  # of facts that name none
    with pytest.raises(UserError, match="Layers 28 to 31 cannot be rewritten"):
        stage.chosen_layers(32, last_by_facts=31)


def test_facts_of_a_layer_are_written_up_to_it(made, context):
    facts = [Fact(**{**vars(fact), "layer": 1}) for fact in FACTS]
    context.streams["facts"] = Shuffled("facts", facts)
    memit(last_layer="facts", layers=2)(made(), context)
    told = json.loads((context.folder / "memit.json").read_text())
    assert [layer["layer"] for layer in told["layers"]] == [0, 1]
