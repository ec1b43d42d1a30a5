"""Locating on the tiny model: against a plain computation a module, what is frozen, what is saved."""

import json

import pytest
import torch
import torch.nn.functional as F

from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import NLL
from unlearnkit.stages import Context, Finetune, Locate
from unlearnkit.stages.locate import module_kind


@pytest.fixture
def context(examples, tmp_path):
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    return Context(streams, seed=0, folder=tmp_path, stage="locate")


def with_taught_adapter(model):
    """Neither of LoRA's matrices zero, so that both have gradients."""
    model.weights.make_trainable()
    torch.manual_seed(1)
    for name, parameter in model.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def plain_gradients(model, rows):
    """Example by example, unpacked: the mean over answers of the mean token loss's gradient."""
    total = {}
    for example in rows:
        prompt, answer = model.template.encode(model.tokenizer, example.prompt, example.response)
        logits = model.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        loss = F.cross_entropy(logits[len(prompt) - 1 : -1], torch.tensor(answer))
        model.model.zero_grad()
        loss.backward()
        for name, parameter in model.model.named_parameters():
            if parameter.grad is not None:
                total[name] = total.get(name, 0) + parameter.grad / len(rows)
    model.model.zero_grad()
    return total


def region(folder):
    return json.loads((folder / "region.json").read_text())


def test_cosine_and_magnitude_equal_a_plain_computation(tiny_model, context, examples):
    model = with_taught_adapter(tiny_model)
    expected = {name: plain_gradients(model, rows) for name, rows in examples.items()}
    Locate(None, None, copies=2, replaced=0.0, batch_size=4)(model, context)
    found = {row["name"]: row for row in region(context.folder)["tensors"]}
    assert set(found) == set(expected["forget"])
    for name, row in found.items():
        unlearn, retain = expected["forget"][name].flatten().double(), expected["retain"][name].flatten().double()
        if unlearn.norm() > 1e-7:
            assert row["cosine"] == pytest.approx(float(unlearn @ retain / unlearn.norm() / retain.norm()), abs=1e-4)
        assert row["gradient"] == pytest.approx(float(unlearn.abs().mean()), rel=1e-3, abs=1e-8)
        assert row["size"] == unlearn.numel()


def test_answers_are_replaced_and_prompts_are_not(lora_model, examples):
    import numpy as np

    tokens = ((5, 6, 7, 8), tuple(range(10, 210)))
    whole = Locate(None, None)._randomised(tokens, lora_model, np.random.default_rng(0))
    half = Locate(None, None, replaced=0.5)._randomised(tokens, lora_model, np.random.default_rng(0))
    assert whole[0] == half[0] == (5, 6, 7, 8) and len(whole[1]) == len(half[1]) == 200
    changed = [sum(a != b for a, b in zip(tokens[1], new[1], strict=True)) for new in (whole, half)]
    assert changed[0] > 190 and 75 < changed[1] < 125
    assert max(whole[1]) < 259


def test_copies_see_other_rows_and_the_same_seed_says_the_same(lora_model, context, tmp_path):
    model = with_taught_adapter(lora_model)
    found = []
    for number, settings in enumerate([{}, {}, {"seed": 7}, {"copies": 1}]):
        context.folder = tmp_path / str(number)
        context.folder.mkdir()
        model.model.requires_grad_(False)
        for name, parameter in model.model.named_parameters():
            parameter.requires_grad_("lora_" in name)
        Locate(None, None, **{"copies": 2, "rows": 2, **settings})(model, context)
        found.append([row["cosine"] for row in region(context.folder)["tensors"]])
    assert found[0] == found[1] and found[0] != found[2] and found[0] != found[3]


@pytest.mark.parametrize("kind", ["located", "random", "inverted"])
def test_training_changes_the_region_alone(tiny_model, context, kind, capsys):
    model = with_taught_adapter(tiny_model) if tiny_model.weights.lora else tiny_model
    Locate(None, None, copies=1, region=kind)(model, context)
    saved = region(context.folder)
    chosen = {row["name"] for row in saved["tensors"] if row["chosen"]}
    assert 0 < len(chosen) < len(saved["tensors"])
    assert f"Region ({kind}): {len(chosen)} of {len(saved['tensors'])} tensors" in capsys.readouterr().out
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    context.stage = "finetune"
    terms = {"forget": NLL("forget", -0.4, "answers"), "retain": NLL("retain", 2.0, "answers")}
    Finetune(terms, 3, 2, arguments={"learning_rate": 1e-2, "disable_tqdm": True})(model, context)
    changed = {name for name, value in model.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed - {"lm_head.weight"} <= chosen  # which may be tied to the embedding
    assert len(changed) > 0.8 * len(chosen)


def test_controls_have_the_located_budget_or_a_little_less(lora_model, context):
    model = with_taught_adapter(lora_model)
    sizes = {}
    for kind in ("located", "random", "inverted"):
        for name, parameter in model.model.named_parameters():
            parameter.requires_grad_("lora_" in name)
        Locate(None, None, copies=1, region=kind)(model, context)
        rows = region(context.folder)["tensors"]
        sizes[kind] = sum(row["size"] for row in rows if row["chosen"])
    smallest = min(row["size"] for row in rows)
    for kind in ("random", "inverted"):
        assert sizes["located"] - smallest < sizes[kind] <= sizes["located"]


def test_thresholds_that_select_nothing(lora_model, context):
    with pytest.raises(UserError, match="max_cosine=-2 and min_gradient=1e-09 select none of") as caught:
        Locate(-2.0, 1e-9, copies=1)(with_taught_adapter(lora_model), context)
    assert "max_cosine=" in caught.value.fix


def test_names_of_modules():
    assert module_kind("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight") == "q_proj.A"
    assert module_kind("model.layers.1.mlp.up_proj.weight") == "up_proj"
    assert module_kind("weight") == "weight"
