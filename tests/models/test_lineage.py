"""The three states of a model's weights, whatever is trained of them: against copies that were taken when they held."""

import copy
import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from unlearnkit.errors import UserError
from unlearnkit.models import Template, load_source, tiny
from unlearnkit.models.lineage import narrow_copy

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


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for kind, changes in KINDS.items():
        folder = tmp_path_factory.mktemp(kind)
        config = tiny.config(kind)
        for key, value in changes.items():
            setattr(config, key, value)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            network = AutoModelForCausalLM.from_config(config)
            for parameter in network.parameters():
                if parameter.dim() == 1:  # biases of 0 would hide that they are lost
                    torch.nn.init.normal_(parameter, mean=float(parameter.mean()), std=0.1)
            network.save_pretrained(folder)
        tiny.tokenizer().save_pretrained(folder)
        made[kind] = str(folder)
    return made


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


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", EVERY)
def test_the_states_of_what_was_never_taught(name, kind, folders):
    model = loaded(folders[kind], settings(name, kind))
    first = logits(model.model)
    model.weights.make_trainable()
    close(logits(model.model), first)  # nothing is learnt yet
    learnt = learn(model)
    assert (learnt - first).abs().max() > 1e-2
    found = seen(model)
    close(found["loaded"], first)
    close(found["start"], first)
    close(found["current"], learnt)
    close(logits(model.model), learnt)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", AND_MERGED)
def test_the_states_of_what_was_taught(name, kind, folders, tmp_path):
    lora = settings("plain" if name == MERGED else name, kind)
    model, first, second = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    close(logits(model.model), second, 1e-5 if name == MERGED else 1e-6)
    second = logits(model.model)
    learnt = learn(model)
    assert (learnt - second).abs().max() > 1e-2
    found = seen(model)
    close(found["loaded"], first)
    close(found["start"], second)
    close(found["current"], learnt)


@pytest.mark.parametrize("before", sampled(["untaught", "taught"]))
@pytest.mark.parametrize("name", AND_MERGED)
@pytest.mark.parametrize("kind", sampled(["llama", "qwen2"]))
def test_a_reference_of_a_training(name, kind, before, folders, tmp_path):
    if before == "untaught" and name == MERGED:
        pytest.skip("merged is taught")
    lora = settings("plain" if name == MERGED else name, kind)
    if before == "taught":
        model, first, second = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
        second = logits(model.model)
    else:
        model = loaded(folders[kind], lora)
        first = second = logits(model.model)
    model.weights.make_trainable()
    references = {state: model.weights.reference(state, torch.float32) for state in ("start", "loaded")}
    learnt = learn(model)
    flags = [parameter.requires_grad for parameter in model.model.parameters()]
    for state, expected in (("start", second), ("loaded", first)):
        reference = references[state]
        if reference.frozen is not None:
            close(logits(reference.frozen), expected)
            assert not any(parameter.requires_grad for parameter in reference.frozen.parameters())
        else:
            with reference.switch(model.model):
                close(logits(model.model), expected)
    close(logits(model.model), learnt)
    assert [parameter.requires_grad for parameter in model.model.parameters()] == flags


@pytest.mark.parametrize("name", ["plain", "modules to save", FULL])
def test_a_second_training_compares_with_the_runs_start(name, folders):
    """The reference of a second training stage is the start of the run, under LoRA and full weights alike."""
    model = loaded(folders["llama"], settings(name))
    first = logits(model.model)
    learn(model, seed=1)
    model.weights.make_trainable()
    reference = model.weights.reference("start", torch.float32)
    learn(model, seed=2)
    if reference.frozen is not None:
        close(logits(reference.frozen), first)
    else:
        with reference.switch(model.model):
            close(logits(model.model), first)


def effective(model):
    """Name in the bare network -> the weight that base and adapter make together."""
    network = copy.deepcopy(model)
    if isinstance(network, PeftModel):
        ends = network.get_base_model().get_input_embeddings(), network.get_base_model().get_output_embeddings()
        inner = [getattr(end, "base_layer", getattr(end, "original_module", end)) for end in ends]
        if inner[0].weight is inner[1].weight:
            inner[1].weight = torch.nn.Parameter(inner[1].weight.detach().clone())
        network = network.merge_and_unload()
    return {name: weight.detach().clone() for name, weight in network.named_parameters(remove_duplicate=False)}


@pytest.mark.parametrize("before", sampled(["untaught", "taught"]))
@pytest.mark.parametrize("scale", sampled([0.0, 1.0, 0.4]))
@pytest.mark.parametrize("kind", sampled(["llama", "qwen2"]))
@pytest.mark.parametrize("name", AND_MERGED)
def test_negation(name, kind, scale, before, folders, tmp_path):
    """theta = theta_start - scale * (theta_bad - theta_start) in the effective weights; scale 0 is the start."""
    if before == "untaught" and name == MERGED:
        pytest.skip("merged is taught")
    lora = settings("plain" if name == MERGED else name, kind)
    if before == "taught":
        model, first, _ = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    else:
        model = loaded(folders[kind], lora)
        first = logits(model.model)
    start, at_start = effective(model.model), logits(model.model)
    model.weights.keep_start(tmp_path / "kept")
    learnt = learn(model)
    bad = effective(model.model)
    with model.weights.negated(scale, tmp_path / "kept") as weights:
        previewed = logits(weights.network)
    close(logits(model.model), learnt)
    model.weights.negate(scale, tmp_path / "kept")
    found = effective(model.model)
    for weight, value in found.items():
        theta = start.get(weight, start.get("model.embed_tokens.weight"))
        close(value, theta - scale * (bad[weight] - theta), 1e-5)
    close(logits(model.model), previewed)
    if scale == 0:
        close(logits(model.model), at_start)
    states = seen(model)
    close(states["start"], at_start)
    close(states["loaded"], first)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", AND_MERGED)
def test_what_is_saved_is_what_was_measured(name, kind, folders, tmp_path):
    """Through plain transformers and PEFT, over the base that the adapter names."""
    lora = settings("plain" if name == MERGED else name, kind)
    model, _, _ = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    learnt = learn(model)
    model.save(tmp_path / "model")
    close(logits(read(tmp_path / "model")), learnt, 1e-5)


def read(folder):
    """As a reader without this project does it."""
    if not (folder / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(network, folder)


@pytest.mark.parametrize("name", AND_MERGED)
@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("kind", sampled(["llama", "opt"]))
def test_saved_after_negation_and_an_edit(name, negated, kind, folders, tmp_path):
    lora = settings("plain" if name == MERGED else name, kind)
    model, first, _ = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    at_start = logits(model.model)
    model.weights.keep_start(tmp_path / "kept")
    learn(model)
    if negated:
        model.weights.negate(1.0, tmp_path / "kept")
    ends = ("down_proj.weight", "fc2.weight", "down_proj.base_layer.weight", "fc2.base_layer.weight")
    edited = next(p for name, p in model.weights.bare.named_parameters() if name.endswith(ends))
    model.weights.edit(edited, edited + 0.1)
    states = seen(model)
    close(states["start"], at_start)
    close(states["loaded"], first)
    model.save(tmp_path / "model")
    close(logits(read(tmp_path / "model")), states["current"], 1e-5)


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("before", sampled(["untaught", "taught"]))
@pytest.mark.parametrize("name", AND_MERGED)
def test_kept_and_restored(name, before, negated, folders, tmp_path):
    """What a killed run goes on from is what it had, in all three states, and what is trainable."""
    if before == "untaught" and name == MERGED:
        pytest.skip("merged is taught")
    lora, merge = settings("plain" if name == MERGED else name), name == MERGED

    def begun():
        if before == "taught":
            return taught(folders["llama"], lora, tmp_path, merge)[0]
        return loaded(folders["llama"], lora)

    model = begun()
    model.weights.keep_start(tmp_path / "kept")
    learn(model)
    if negated:
        model.weights.negate(0.5, tmp_path / "kept")
    what, tensors = model.weights.keep()
    tensors = {key: value.detach().clone() for key, value in tensors.items()}
    other = begun()
    other.weights.restore(what, tensors)
    for state, expected in seen(model).items():
        with other.state(state) as network:
            close(logits(network), expected)
    flags = {name: parameter.requires_grad for name, parameter in model.model.named_parameters()}
    assert {name: parameter.requires_grad for name, parameter in other.model.named_parameters()} == flags


def test_what_a_stage_froze_stays_frozen(folders, tmp_path):
    model, _, _ = taught(folders["llama"], settings("plain"), tmp_path)
    frozen = [name for name, parameter in model.model.named_parameters() if parameter.requires_grad][::2]
    for name, parameter in model.model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    flags = {name: parameter.requires_grad for name, parameter in model.model.named_parameters()}
    seen(model)
    reference = model.weights.reference("start", torch.float32)
    with reference.switch(model.model):
        pass
    for name, parameter in model.model.named_parameters():
        assert parameter.requires_grad == flags.get(name, False), name


def test_states_answer_without_dropout_and_leave_the_mode(folders):
    lora = {**settings("plain"), "lora_dropout": 0.5}
    model = loaded(folders["llama"], lora)
    learn(model)
    model.model.train()
    with model.current() as network, torch.no_grad():
        assert torch.equal(network(input_ids=IDS).logits, network(input_ids=IDS).logits)
    assert model.model.training


@pytest.mark.parametrize("first", ["pissa", "olora", False])
def test_an_adapter_that_changes_the_model_before_it_learns_is_refused(first, folders):
    with pytest.raises(UserError, match=f"init_lora_weights={first} changes the model"):
        loaded(folders["llama"], {**settings("plain"), "init_lora_weights": first})


@pytest.mark.parametrize("name", ["embed_out", "lm_hed", "model.head"])
def test_a_module_to_save_that_there_is_not(name, folders):
    model = loaded(folders["llama"], {**settings("plain"), "modules_to_save": [name]})
    with pytest.raises(UserError, match=f"modules_to_save names '{name}'"):
        model.weights.make_trainable()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_narrow_copy_computes_the_same(kind, folders):
    """autocast rounds the linear layers' weights itself: bit for bit the same, in half the memory."""
    network = loaded(folders[kind], None).model
    copied = narrow_copy(network, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(logits(network), logits(copied))
    assert {weight.dtype for weight in copied.parameters()} == {torch.float32, torch.bfloat16}
    assert copied.get_input_embeddings().weight.dtype == torch.float32
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
