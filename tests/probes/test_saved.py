"""What a saved model was made from stays its start."""

import json

import pytest
import torch
from attacked import logits, trained

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.identity import INPUTS
from unlearnkit.inputs import inputs
from unlearnkit.models import load_source, tiny
from unlearnkit.models.templates import Template
from unlearnkit.probes.saved import load_saved, original, put_in_place

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


def fresh(folder, lora):
    return load_source("tiny", str(folder), "float32", lora, Template())


def close(one, other):
    return torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("lora", [LORA, None])
@pytest.mark.parametrize("place", [load_saved, put_in_place])
def test_a_model_that_was_made_from_the_base(lora, place, tiny_folder, tmp_path):
    unlearned = trained(fresh(tiny_folder, lora))
    unlearned.save(tmp_path / "model")
    start = logits(fresh(tiny_folder, lora))
    model = place(fresh(tiny_folder, lora), tmp_path / "model")
    assert close(logits(model), logits(unlearned)) and not close(logits(model), start)
    assert close(logits(model, "start"), start) and close(logits(model, "loaded"), start)


@pytest.mark.parametrize("lora", [LORA, None])
def test_a_model_that_was_made_from_a_taught_one(lora, tiny_folder, tmp_path):
    trained(fresh(tiny_folder, lora)).save(tmp_path / "taught")
    base, model = fresh(tiny_folder, lora), fresh(tiny_folder, lora)
    model.weights.teach(str(tmp_path / "taught"))
    taught = logits(model)
    trained(model).save(tmp_path / "model")
    own = logits(model)
    model = fresh(tiny_folder, lora)
    model.weights.teach(str(tmp_path / "taught"))
    model = load_saved(model, tmp_path / "model")
    assert close(logits(model), own) and not close(own, taught)
    assert close(logits(model, "start"), taught) and close(logits(model, "loaded"), logits(base))


def test_an_adapter_over_experts_is_read_back(tmp_path):
    base = tiny.write(tmp_path / "base", "mixtral")
    unlearned = trained(fresh(base, LORA))
    unlearned.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "adapter_config.json").read_text())["rank_pattern"] == {
        ".*\\.gate_up_proj": 8
    }
    model = load_saved(fresh(base, LORA), tmp_path / "model")
    assert close(logits(model), logits(unlearned)) and not close(logits(model), logits(fresh(base, LORA)))
    plain = fresh(tmp_path / "model", None)  # merged into its base
    assert close(logits(plain), logits(unlearned))


def test_other_rows_than_the_runs_are_refused_before_a_model_is_loaded(tmp_path):
    data = Data("made", {}, {"target": {"test": [Example("q", "What is it?", "So.")]}})
    config = {"model": {"_target_": "nosuch"}, "data": {}, "target": {}}
    config[INPUTS] = inputs(config, data)
    edited = Data("made", {}, {"target": {"test": [Example("q", "What is it?", "So!")]}})
    with pytest.raises(UserError, match="^The rows of its data are not those that the run in .* read"):
        original(config, edited, tmp_path)
