"""What is trained after a restriction, by parts, layers and names, under LoRA and with all weights."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import NLL
from unlearnkit.models import Template, checkpoints, load_source, tiny
from unlearnkit.models.anatomy import PLACES
from unlearnkit.models.switching import in_bare
from unlearnkit.stages import Context, Finetune, Locate, Restrict

LORA = {"r": 2, "target_modules": ["q_proj"]}
QUIET = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-2}


def context(folder, examples=None, stage="restrict"):
    streams = {name: Shuffled(name, rows) for name, rows in (examples or {}).items()}
    return Context(streams, 0, folder, stage)


def trained(model):
    return {in_bare(name) for name, weight in model.model.named_parameters() if weight.requires_grad}


CASES = {
    "mlp_out": ({"parts": "mlp_out", "layers": [1]}, {"model.layers.1.mlp.down_proj.weight"}),
    "mlp_in": (
        {"parts": ["mlp_in"], "layers": [0.1]},
        {"model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"},
    ),
    "attention": (
        {"parts": ["attention"], "layers": [0]},
        {f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkvo"},
    ),
    "attention_out": ({"parts": "attention_out"}, {f"model.layers.{n}.self_attn.o_proj.weight" for n in (0, 1)}),
    "names": ({"names": r"[qk]_proj", "layers": [0.9]}, {f"model.layers.1.self_attn.{p}_proj.weight" for p in "qk"}),
    "both": ({"parts": "attention", "names": "v_proj"}, {f"model.layers.{n}.self_attn.v_proj.weight" for n in (0, 1)}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_trained(case, tiny_model, tmp_path, capsys):
    settings, expected = CASES[case]
    rows = []
    told = context(tmp_path)
    told.log = rows.append
    Restrict(**settings)(tiny_model, told)
    assert trained(tiny_model) == expected
    assert rows[0]["tensors"] == len(expected) and 0 < rows[0]["share"] < 1
    assert f"{len(expected)} of 21 weights" in capsys.readouterr().out


def test_an_adapter_stands_there_alone_whatever_its_targets(tiny_folder, tmp_path):
    model = load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template())
    Restrict("mlp_out", [1])(model, context(tmp_path))
    names = [name for name, _ in model.model.named_parameters() if "lora_" in name]
    assert len(names) == 2 and all(".layers.1.mlp.down_proj.lora_" in name for name in names)


def test_norms_are_trained_whole_and_have_no_adapter(full_model, lora_model, tmp_path):
    stage = Restrict(names="norm")
    stage(full_model, context(tmp_path))
    assert trained(full_model) == {name for name, _ in full_model.model.named_parameters() if "norm" in name}
    with pytest.raises(UserError, match="No linear layer is among what is to be trained"):
        stage(lora_model, context(tmp_path))


def test_only_that_moves(tiny_model, tiny_folder, examples, tmp_path):
    start = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    told = context(tmp_path, examples)
    Restrict("mlp_out", [0])(tiny_model, told)
    told.stage = "finetune"
    Finetune({"forget": NLL("forget")}, 2, batch_size=2, arguments=dict(QUIET))(tiny_model, told)
    assert trained(tiny_model) == {"model.layers.0.mlp.down_proj.weight"}
    tiny_model.weights.save(tmp_path / "saved")
    merged = tiny_model.weights.merged_copy() if tiny_model.weights.lora else tiny_model.model
    moved = {n for n, w in merged.named_parameters() if not torch.equal(w, dict(start.named_parameters())[n])}
    assert moved == {"model.layers.0.mlp.down_proj.weight"}


def test_it_is_kept_and_restored(tiny_model, tiny_folder, tmp_path):
    lora = tiny_model.weights.lora
    Restrict("attention_out", [1])(tiny_model, context(tmp_path))
    checkpoints.save_stage(tiny_model, tmp_path / "checkpoints" / "restrict", {})
    other = load_source("tiny", str(tiny_folder), "float32", lora, Template())
    checkpoints.load_stage(other, tmp_path / "checkpoints" / "restrict")
    other.weights.make_trainable()
    expected = {name: (w.shape, w.requires_grad) for name, w in tiny_model.model.named_parameters()}
    assert {name: (w.shape, w.requires_grad) for name, w in other.model.named_parameters()} == expected
    assert trained(other) == {"model.layers.1.self_attn.o_proj.weight"}


@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_every_part_of_every_architecture(architecture, tmp_path):
    folder = tiny.write(tmp_path / "model", architecture)
    for lora in (None, {"r": 2, "target_modules": "all-linear"}):
        for part in ("attention", "attention_out", "mlp_in", "mlp_out"):
            model = load_source("tiny", str(folder), "float32", lora, Template())
            Restrict(part, [0.9])(model, context(tmp_path))
            assert trained(model) and all(".1." in name for name in trained(model))


def test_a_taught_adapter_is_frozen_elsewhere(lora_model, tmp_path):
    lora_model.weights.make_trainable()
    Restrict("mlp_out", [0])(lora_model, context(tmp_path))
    assert trained(lora_model) == {"model.layers.0.mlp.down_proj.weight"}
    Restrict("mlp_out", [1])(lora_model, context(tmp_path))
    assert trained(lora_model) == {"model.layers.1.mlp.down_proj.weight"}


def test_an_adapter_that_stands_elsewhere(tiny_folder, tmp_path):
    model = load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template())
    model.weights.make_trainable()
    with pytest.raises(UserError, match="stands on nothing of what is to be trained"):
        Restrict("mlp_out", [0])(model, context(tmp_path))


def test_locate_chooses_among_what_is_named(tiny_model, examples, tmp_path):
    Locate(2.0, 0.0, copies=1, rows=2, parts="mlp_out")(tiny_model, context(tmp_path, examples, "locate"))
    told = json.loads((tmp_path / "region.json").read_text())
    assert told["tensors"] and all("down_proj" in tensor["name"] for tensor in told["tensors"])
    assert all("down_proj" in name for name in trained(tiny_model))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"names": "mlp.dwn_proj"}, "names=mlp.dwn_proj matches no weight of the model. Did you mean 'down_proj'?"),
        ({"layers": [2]}, "The model has no layer 2: it has 2, 0 to 1"),
        ({"layers": [1.5]}, "layer=1.5 is no share of the depth"),
        ({"layers": []}, "match no weight of the model"),
        (
            {"parts": "mlp_out", "names": "q_proj"},
            "and layers=None with names=q_proj match no weight",
        ),
    ],
)
def test_what_matches_nothing(settings, said, tiny_model):
    with pytest.raises(UserError) as error:
        Restrict(**settings).check_model(tiny_model)
    assert said in str(error.value) and error.value.fix


@pytest.mark.parametrize(("settings", "said"), [({}, "restricts nothing"), ({"names": "("}, "no regular expression")])
def test_what_is_known_without_a_model(settings, said):
    with pytest.raises(UserError, match=said):
        Restrict(**settings).check("stages.restrict")


def test_locate_needs_no_names():
    Locate(None, None).check("stages.locate")
    with pytest.raises(UserError, match="no regular expression"):
        Locate(None, None, names="(").check("stages.locate")
