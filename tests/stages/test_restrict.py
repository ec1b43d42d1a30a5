"""What a restriction leaves to be trained, with adapters and with whole weights."""

import json

import pytest
import torch
from composed import composed
from dying import Died
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file

from unlearnkit.errors import UserError
from unlearnkit.run import run
from unlearnkit.runs.folder import RunFolder
from unlearnkit.stages import Restrict
from unlearnkit.stages.base import Context

OUT = "model.layers.{}.mlp.down_proj.weight"


def trained(model):
    return {name for name, weight in model.model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"parts": "mlp_out", "layers": [0, 1]}, {OUT.format(0), OUT.format(1)}),
        ({"parts": "mlp_out", "layers": 0.5}, {OUT.format(1)}),
        ({"parts": ["mlp_out"], "layers": [0.1, 0.2]}, {OUT.format(0)}),
        ({"parts": "mlp_in", "layers": 1}, {f"model.layers.1.mlp.{n}_proj.weight" for n in ("gate", "up")}),
        ({"parts": "attention_out"}, {f"model.layers.{n}.self_attn.o_proj.weight" for n in (0, 1)}),
        ({"names": r"1\..*norm"}, {f"model.layers.1.{n}_layernorm.weight" for n in ("input", "post_attention")}),
        ({"names": "down_proj", "layers": 0}, {OUT.format(0)}),
        ({"parts": ["attention"], "names": "[qk]_proj", "layers": 1},
         {f"model.layers.1.self_attn.{n}_proj.weight" for n in "qk"}),
    ],
)  # fmt: skip
def test_whole_weights(settings, expected, full_model):
    Restrict(**settings)(full_model, Context({}, 0, None))
    assert trained(full_model) == expected


def test_a_fresh_adapter_stands_there_alone(lora_model):
    Restrict(parts="mlp_out", layers=[1])(lora_model, Context({}, 0, None))
    own = "base_model.model.model.layers.1.mlp.down_proj.lora_{}.default.weight"
    assert trained(lora_model) == {own.format("A"), own.format("B")}
    assert {name for name, _ in lora_model.model.named_parameters() if "lora_" in name} == trained(lora_model)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "restricts nothing"),
        ({"parts": "mlp_outt"}, "mlp_outt is no part of a layer. Did you mean 'mlp_out'?"),
        ({"layers": [-1]}, "stages.restrict.layers=-1 is neither"),
        ({"layers": 1.5}, "stages.restrict.layers=1.5 is neither"),
        ({"names": "layers.(5"}, "is no regular expression"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(UserError) as caught:
        Restrict(**settings)
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"names": r"layers\.0\.mlp\.down_prj"}, "Did you mean 'model.layers.0.mlp.down_proj.weight'?"),
        ({"names": "q_proj", "parts": "mlp_out"}, "fits none of the model's"),
        ({"layers": [0, 9]}, "layer=9: the model has 2 layers, 0 to 1"),
    ],
)
def test_what_the_model_does_not_have(settings, said, full_model):
    with pytest.raises(UserError) as caught:
        Restrict(**settings).check_model(full_model)
    assert said in caught.value.what


def test_norms_hold_no_adapter(lora_model):
    with pytest.raises(UserError, match="can hold a LoRA adapter"):
        Restrict(names="norm")(lora_model, Context({}, 0, None))


RUN = (
    "+method=rmu", "model=tiny", "logger=none", "eval.safety.limit=2", "eval.safety.max_new_tokens=2", "eval_every=2",
    "eval.safety.curve_limit=1", "train.max_steps=4", "train.save_every=1", "+train.arguments.disable_tqdm=true",
    "train.arguments.learning_rate=1e-2",
)  # fmt: skip


@pytest.mark.parametrize("lora", [True, False])
def test_a_run_changes_what_it_may_and_goes_on_after_its_stages(lora, tmp_path, monkeypatch):
    words = RUN if lora else (*RUN, "model.lora=null")
    whole = run(composed(*words), tmp_path / "whole")
    folder = tmp_path / "whole" / "model"
    if lora:
        found = load_file(folder / "adapter_model.safetensors")
        assert {name.partition(".lora_")[0] for name in found} == {"base_model.model.model.layers.0.mlp.down_proj"}
        loaded = AutoPeftModelForCausalLM.from_pretrained(folder)
        assert sum(weight.abs().sum() for name, weight in loaded.named_parameters() if "lora_B" in name) > 0

    written = RunFolder.write_moment

    def dies(self, moment, *more):
        if moment.final:  # all stages are done, and kept
            raise Died
        written(self, moment, *more)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_moment", dies)
        with pytest.raises(Died):
            run(composed(*words), tmp_path / "again")
    again = run(composed(*words), tmp_path / "again")
    for key in ("before", "after", "curve"):
        one, other = (json.loads(json.dumps(metrics[key])) for metrics in (whole, again))
        for held in (one, other):
            if isinstance(held, dict):
                held.pop("cost", None)
        assert one == other
    assert torch.isfinite(torch.tensor(whole["after"]["safety"]["normal"]["answer_perplexity"]["value"]))
