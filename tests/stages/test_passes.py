"""What a training's passes are asked for, and what of the model they reach."""

import copy
import json

import pytest
import torch
from composed import composed

from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import CEU, KL, NLL, NPO, UNDIAL, Adversarial, KeepStates, RandomLabels, Steer, projected
from unlearnkit.models import load_source
from unlearnkit.models.reading import Outputs
from unlearnkit.models.templates import Template
from unlearnkit.run import run as whole_run
from unlearnkit.stages import Context, Finetune, Restrict, passes
from unlearnkit.stages.passes import outputs_of, within_reach

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "lora_dropout": 0.0}
QUIET = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-2}
STEER, KEEP = Steer("forget", 0, 4.0), KeepStates("retain", 0.2, weight=10.0)


def test_what_terms_read():
    assert outputs_of([STEER, KEEP]) == Outputs(False, frozenset({0, 0.2}))
    assert outputs_of([NPO("forget")]) == outputs_of([KL("retain"), NLL("forget")]) == Outputs(True, frozenset())
    assert outputs_of([NLL("retain"), STEER]) == Outputs(True, frozenset({0}))


def trained(model):
    return {name for name, weight in model.model.named_parameters() if weight.requires_grad}


def test_what_is_not_reached_is_not_trained_meanwhile(tiny_model):
    tiny_model.weights.make_trainable()
    before = trained(tiny_model)
    with within_reach(tiny_model, {"forget": STEER}):
        inside = trained(tiny_model)
    beyond = {name for name in before if ".layers.1." in name or name in ("model.norm.weight", "lm_head.weight")}
    assert inside == before - beyond and beyond and trained(tiny_model) == before
    with within_reach(tiny_model, {"forget": STEER, "retain": NLL("retain")}):
        assert trained(tiny_model) == before


def test_flags_are_as_they_were_after_an_error(tiny_model):
    tiny_model.weights.make_trainable()
    before = trained(tiny_model)
    with pytest.raises(ZeroDivisionError), within_reach(tiny_model, {"forget": STEER}):
        raise ZeroDivisionError
    assert trained(tiny_model) == before


def test_nothing_that_is_trained_is_reached(tiny_model, tmp_path, examples):
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    context = Context(streams, 0, tmp_path, "finetune")
    Restrict("mlp_out", [1])(tiny_model, context)
    with pytest.raises(UserError, match="read layers 0 alone, and what is trained lies behind them"):
        Finetune({"forget": STEER}, 1, batch_size=2, arguments=dict(QUIET))(tiny_model, context)


def test_a_layer_that_is_not_there_is_refused_before_training(tiny_model):
    with pytest.raises(UserError, match="no layer 7: it has 2, 0 to 1"):
        Finetune({"forget": Steer("forget", 7, 4.0)}, 1, batch_size=2).check_model(tiny_model)


def run(model, streams, folder, terms, **more):
    folder.mkdir()
    arguments = {**QUIET, **more.pop("arguments", {})}
    Finetune(terms, 4, batch_size=4, arguments=arguments, **more)(model, Context(streams, 0, folder, "finetune"))
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [[row["terms/forget"], row["terms/retain"]] for row in rows]


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("way", ["whole", "accumulated", "checkpointed"])
def test_a_training_is_the_same_with_an_early_end_or_without(kind, way, request, tmp_path, examples):
    model = request.getfixturevalue(f"{kind}_model")
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    other = copy.deepcopy(model)
    terms = {"forget": STEER, "retain": KEEP}
    more = {"accumulated": {"accumulation": 2}, "checkpointed": {"arguments": {"gradient_checkpointing": True}}}
    early = run(model, streams, tmp_path / "early", terms, **more.get(way, {}))
    # A term that reads logits and is far too light to matter makes every pass a whole one.
    whole = run(other, streams, tmp_path / "whole", {**terms, "more": NLL("retain", weight=1e-30)})
    torch.testing.assert_close(torch.tensor(early), torch.tensor(whole), atol=1e-5, rtol=1e-5)
    assert early[0][1] == 0 < early[-1][1] and early[-1][0] < early[0][0]


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_gradient_checkpointing_changes_no_loss(kind, request, tmp_path, examples):
    model = request.getfixturevalue(f"{kind}_model")
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    terms = {"forget": NPO("forget"), "retain": KL("retain")}
    other = copy.deepcopy(model)
    plain = run(model, streams, tmp_path / "plain", terms)
    checkpointed = run(other, streams, tmp_path / "on", terms, arguments={"gradient_checkpointing": True})
    assert other.model.is_gradient_checkpointing
    torch.testing.assert_close(torch.tensor(checkpointed), torch.tensor(plain), atol=1e-6, rtol=1e-5)
    assert plain[0][1] == 0 < plain[-1][1] and plain[-1][0] < plain[0][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stages.finetune.terms.forget.layer=9",), "no layer 9: it has 2, 0 to 1"),
        (("stages.restrict.layers=[0,2]",), "no layer 2: it has 2, 0 to 1"),
    ],
)
def test_a_layer_that_is_not_there_is_refused_before_weights_are_read(words, said, tiny_folder, tmp_path):
    """The folder has a model's config and no weights, which a run would otherwise say."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text((tiny_folder / "config.json").read_text())
    told = ("+method=rmu", "logger=none", f"model.path={tmp_path / 'model'}", *words)
    with pytest.raises(UserError, match=said) as error:
        whole_run(composed(*told), tmp_path / "run")
    assert error.value.fix


SUMS = {
    "forget": NPO("forget"),
    "harm": CEU("forget", -0.5),
    "keep": KL("retain"),
    "own": UNDIAL("retain"),
    "other": Adversarial("retain", mean="answers"),
    "drawn": RandomLabels("forget"),
    "plain": NLL("retain", mean="step"),
}


@pytest.mark.parametrize("arguments", [{}, {"gradient_checkpointing": True}])
def test_a_training_whose_logits_do_not_stand(arguments, tiny_folder, tmp_path, examples, monkeypatch):
    """Under LoRA and with all weights: the same losses and weights, though each piece has two positions."""
    for lora in (None, LORA):
        ended = []
        for standing in (2**26, 0):
            monkeypatch.setattr(passes, "STANDING", standing)
            monkeypatch.setattr(projected, "PIECE", 2 * 259)
            model = load_source("tiny", str(tiny_folder), "float32", lora, Template())
            folder = tmp_path / f"{lora is None}{standing}"
            context = Context({name: Shuffled(name, rows) for name, rows in examples.items()}, 0, folder, "finetune")
            Finetune(dict(SUMS), 2, batch_size=2, arguments={**QUIET, "optim": "sgd", **arguments})(model, context)
            ended.append(dict(model.model.named_parameters()))
        for name, weight in ended[0].items():
            torch.testing.assert_close(weight, ended[1][name], atol=2e-5, rtol=1e-4, msg=name)
