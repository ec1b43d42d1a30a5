"""`model.quantise=nf4` with bitsandbytes: trained beside, resumed, saved, read again; refused before weights are."""

import copy
import dataclasses
import json
import shutil

import pytest
import torch
from composed import composed
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import KL, NPO, KeepStates, Steer
from unlearnkit.models import load, load_source, tiny
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.packing import pack
from unlearnkit.models.quantised import WAYS, nf4, written_nf4
from unlearnkit.models.templates import Template
from unlearnkit.run import run
from unlearnkit.stages import Context, Finetune, Negate

needed = pytest.mark.skipif(not WAYS["BitsAndBytesConfig"].installed(), reason="bitsandbytes is not installed")
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
QUIET = {"learning_rate": 1e-2, "logging_steps": 1, "disable_tqdm": True, "lr_scheduler_type": "constant"}
ROW = pack({"any": [((1, 5, 6, 7), (8, 9, 10, 11)), ((1, 5, 6, 7), (12, 13))]})
TERMS = {
    "npo": {"forget": NPO("forget"), "retain": KL("retain")},
    "rmu": {"forget": Steer("forget", 1, 4.0), "retain": KeepStates("retain", 1)},
}


@pytest.fixture
def model(tiny_folder):
    return load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template(), quantise="nf4")


def finetune(model, streams, folder, terms="npo", arguments=None, **more):
    folder.mkdir(exist_ok=True)
    stage = Finetune(TERMS[terms], 4, batch_size=4, arguments={**QUIET, **(arguments or {})}, **more)
    stage(model, Context(streams, 0, folder, "finetune"))
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [[row["terms/forget"], row["terms/retain"]] for row in rows]


@pytest.fixture
def streams(examples):
    return {name: Shuffled(name, rows) for name, rows in examples.items()}


@torch.no_grad()
def logits(model, state="current"):
    with model.state(state) as network:
        return network(**ROW.inputs()).logits


def adapter(model):
    return {name: weight.detach().clone() for name, weight in model.model.named_parameters() if "lora_" in name}


@needed
@pytest.mark.parametrize("terms", TERMS)
def test_losses_fall_from_the_start_and_checkpointing_changes_none(terms, model, streams, tmp_path):
    other, first = copy.deepcopy(model), logits(model)
    base = {name: weight.clone() for name, weight in model.model.named_parameters()}
    plain = finetune(model, streams, tmp_path / "plain", terms)
    assert plain[0][1] == 0 < plain[-1][1] and plain[-1][0] < plain[0][0]  # the reference is the start
    assert torch.equal(logits(model, "start"), first) and not torch.equal(logits(model), first)
    for name, weight in model.weights.bare.named_parameters():
        if "lora_" not in name:
            assert torch.equal(weight, base[name.replace(".base_layer", "")])
    checkpointed = finetune(other, streams, tmp_path / "on", terms, {"gradient_checkpointing": True})
    assert checkpointed == plain
    assert all(torch.equal(a, b) for a, b in zip(adapter(model).values(), adapter(other).values(), strict=True))


@needed
@pytest.mark.parametrize("architecture", ["gpt2", "opt", "qwen2"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointing_changes_no_gradient(architecture, dtype, tmp_path):
    """Nothing has to be prepared for it: hidden states reach every layer with a gradient of their own."""
    folder = tiny.write(tmp_path, architecture)
    model = load_source("x", str(folder), dtype, dict(LORA), Template(), quantise="nf4")
    model.weights.make_trainable()
    network = model.model.train()
    for name, weight in network.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weight, std=0.1)
    found = []
    for reentrant in (None, False, True):
        if reentrant is not None:
            network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        network.zero_grad()
        torch.manual_seed(0)  # of dropout
        with model.computing():
            network(**ROW.inputs()).logits.float().square().mean().backward()
        found.append([weight.grad.clone() for weight in network.parameters() if weight.requires_grad])
    assert all(float(gradient.abs().max()) > 0 for gradient in found[0])
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


@needed
def test_a_training_that_was_cut_off_ends_in_the_same_bits(model, tiny_folder, streams, tmp_path):
    arguments = {"save_strategy": "steps", "save_steps": 2}
    finetune(model, streams, tmp_path, arguments=arguments, save_every=2)
    kept = tmp_path / "checkpoints" / "finetune"
    shutil.rmtree(kept / "checkpoint-4")
    again = load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template(), quantise="nf4")
    finetune(again, streams, tmp_path, arguments=arguments, save_every=2)
    whole, resumed = adapter(model), adapter(again)
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)


@needed
def test_the_sign_of_what_was_learnt_is_turned(model, streams, tmp_path):
    start = logits(model)
    finetune(model, streams, tmp_path)
    learnt = logits(model)
    Negate()(model, Context(streams, 0, tmp_path, "negate"))
    assert torch.equal(logits(model, "start"), start) and not torch.equal(logits(model), learnt)
    Negate()(model, Context(streams, 0, tmp_path, "negate"))
    assert torch.equal(logits(model), learnt)


@needed
def test_a_saved_adapter_is_read_again_over_its_base(model, tiny_folder, streams, tmp_path):
    finetune(model, streams, tmp_path / "run")
    learnt = logits(model)
    model.save(tmp_path / "model")
    settings = eval(written_nf4(torch.float32), {"BitsAndBytesConfig": BitsAndBytesConfig, "torch": torch})
    assert settings.to_dict() == nf4(torch.float32).to_dict()
    named = json.loads((tmp_path / "model" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(tiny_folder)
    base = AutoModelForCausalLM.from_pretrained(named, quantization_config=settings, dtype=torch.float32)
    ids = torch.arange(3, 40)[None]
    with model.current() as network, torch.no_grad():
        own = network(input_ids=ids).logits
        again = PeftModel.from_pretrained(base, tmp_path / "model").eval()(input_ids=ids).logits
    torch.testing.assert_close(again, own, rtol=0, atol=1e-5)
    model.weights.move_on(str(tmp_path / "model"))
    assert torch.equal(logits(model), learnt)
    plain = load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template())
    assert fingerprint(model)["quantised"]["bnb_4bit_quant_type"] == "nf4" and "quantised" not in fingerprint(plain)
    with pytest.raises(UserError, match="is an adapter, which cannot be merged into quantised weights"):
        load("own", path=str(tmp_path / "model"), lora=LORA, quantise="nf4")
    with pytest.raises(UserError, match="into the weights as they are it would be another model") as caught:
        load("own", path=str(tmp_path / "model"), lora=LORA)
    assert caught.value.fix.endswith(f"remove {tmp_path / 'model' / 'rounded.json'} to have that other model")
    plain.save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "rounded.json").exists()


@pytest.fixture
def unread(tmp_path):
    """A model's folder whose weights nobody can load."""
    (tmp_path / "config.json").write_text(json.dumps(tiny.config("llama").to_dict()))
    save_file({"unread": torch.zeros(1)}, tmp_path / "model.safetensors")
    tiny.tokenizer().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        (None, "rounded by model.quantise=nf4, and model.lora=null trains them"),
        ({**LORA, "bias": "all"}, "rounded by model.quantise=nf4, and model.lora.bias=all trains them"),
        ({**LORA, "modules_to_save": ["lm_head"]}, "and model.lora.modules_to_save trains them"),
    ],
)
def test_it_trains_an_adapter_alone(lora, said, unread, monkeypatch):
    installed(monkeypatch, True)
    with pytest.raises(UserError, match=said) as caught:
        load("own", path=str(unread), lora=lora, quantise="nf4")
    assert "leave model.quantise= out" in caught.value.fix


def installed(monkeypatch, there):
    way = dataclasses.replace(WAYS["BitsAndBytesConfig"], installed=lambda: there)
    monkeypatch.setitem(WAYS, "BitsAndBytesConfig", way)


def test_a_package_that_is_missing_is_named_before_anything_is_read(unread, monkeypatch):
    installed(monkeypatch, False)
    with pytest.raises(UserError, match="model.quantise=nf4 needs the package bitsandbytes: not installed") as caught:
        load("own", path=str(unread), lora=LORA, quantise="nf4")
    assert caught.value.fix.startswith("pip install bitsandbytes;")


def test_weights_that_are_quantised_already_are_refused(unread, monkeypatch):
    installed(monkeypatch, True)
    held = json.loads((unread / "config.json").read_text())
    (unread / "config.json").write_text(json.dumps({**held, "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(UserError, match="quantised already, and model.quantise=nf4 would round them anew"):
        load("own", path=str(unread), lora=LORA, quantise="nf4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("+method=loku",), "none can be split"),
        (("+method=npo", "deepspeed=zero3"), "quantised, and DeepSpeed divides"),
        (("+method=npo", "data=authors", "target.merge=true"), "none can be merged with an adapter"),
        (("+method=sku", "data=authors"), "none can be negated with an adapter that was taught"),
        (("+method=npo", "+attack=[prune]"), "none can be changed by the attack 'prune_10'"),
    ],
)
def test_what_changes_the_weights_is_refused_before_they_are_read(words, said, unread, tmp_path, monkeypatch):
    installed(monkeypatch, True)
    told = ("logger=none", f"model.path={unread}", "model.quantise=nf4", *words)
    with pytest.raises(UserError, match=said) as caught:
        run(composed(*told), tmp_path / "run")
    assert caught.value.fix
