"""The evaluation inside whole runs, whatever made the second model, and the command over a run's folder."""

import json
import re
import shutil

import plain_krs
import pytest
import torch
import yaml
from composed import composed
from dying import Died
from hydra.utils import instantiate
from peft import PeftModel
from transformers import AutoModelForCausalLM

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.models import load_source, tiny
from unlearnkit.models.templates import Template
from unlearnkit.probes.__main__ import main, measure, settings
from unlearnkit.probes.patching import SETTINGS
from unlearnkit.probes.saved import check_saved
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run

ASKED = [Example(f"q{n}", f"What is it{' then' * n}?", "So.") for n in range(4)]
DATA = Data("made", {}, {"target": {"test": ASKED, "validation": ASKED[:1]}})
KRS = ("eval=krs", "eval.krs.window=1", "eval.krs.tokens=4", "eval.krs.limit=3")
QUICK = ("model=tiny", "logger=none", "train.max_steps=2", "eval_every=1", "+train.arguments.disable_tqdm=true", *KRS)
MISCHIEF = (*QUICK, "eval.krs.sets=[unlearned]", "train.arguments.learning_rate=1e-2")
SCOPES = (
    *QUICK,
    "data=authors",
    "data.authors=2",
    "eval.krs.sets=[unlearn]",
    "target.min_accuracy=0",
    "+target.stage.arguments.disable_tqdm=true",
)


def evaluations(*overrides):
    return Evaluations(instantiate(composed("model=tiny", *KRS, *overrides).eval, _convert_="all"), DATA, 0)


@torch.no_grad()
def change(model, std=0.1):
    """Some unlearning."""
    model.weights.make_trainable()
    torch.manual_seed(3)
    for name, parameter in model.model.named_parameters():
        if "lora_B" in name or model.weights.lora is None:
            parameter.add_(torch.randn_like(parameter) * std)
    model.model.eval()


def test_numbers_are_the_plain_way_s(tiny_model):
    krs = evaluations()
    before = krs.measure(tiny_model, Point("test"))
    assert krs.compute(before) == {"krs": {}}
    questions = krs.parts["krs"]._trace.questions
    original = plain_krs.traced(tiny_model.model, questions)
    change(tiny_model)
    after = krs.measure(tiny_model, Point("test"), before)
    assert [record.original for record in after["krs"]] == [record.original for record in before["krs"]]
    unlearned, patched = plain_krs.errors(tiny_model.model, original, questions, (0, 0), SETTINGS)
    numbers = krs.compute(after)["krs"]
    assert list(numbers) == list(SETTINGS)
    for setting, found in numbers.items():
        assert list(found) == ["layer_00", "layer_01", "peak"]
        expected = (1 - patched[setting].sum(1) / unlearned.sum()).tolist()
        assert [entry["value"] for entry in found.values()] == pytest.approx([*expected, max(expected)], abs=1e-5)
        assert all(entry["low"] <= entry["value"] <= entry["high"] and entry["n"] == 3 for entry in found.values())


def test_the_same_model_has_no_numbers(tiny_model):
    krs = evaluations()
    before = krs.measure(tiny_model, Point("test"))
    tiny_model.weights.make_trainable()
    after = krs.measure(tiny_model, Point("test"), before)
    assert [record.unlearned_error for record in after["krs"]] == [0.0] * 3
    assert krs.compute(after) == {"krs": {}}


def test_a_model_that_diverged_to_nan_is_refused(full_model):
    krs = evaluations()
    before = krs.measure(full_model, Point("test"))
    full_model.model.lm_head.weight.data.fill_(float("nan"))
    with pytest.raises(UserError, match="are no numbers .* in eval.krs"):
        krs.measure(full_model, Point("test"), before)


def test_probing_leaves_the_model_as_it_was(lora_model):
    krs = evaluations()
    before = krs.measure(lora_model, Point("test"))
    change(lora_model)
    kept = {name: value.clone() for name, value in lora_model.model.state_dict().items()}
    ids = torch.arange(5, 25)[None]
    logits = lora_model.model(ids).logits
    krs.measure(lora_model, Point("test"), before)
    assert all(torch.equal(kept[name], value) for name, value in lora_model.model.state_dict().items())
    assert torch.equal(logits, lora_model.model(ids).logits)
    assert lora_model.model.config._attn_implementation == "packed"
    assert not [m for m in lora_model.model.modules() if "forward" in m.__dict__ or m._forward_hooks]


def test_curves_are_not_measured(full_model):
    krs = evaluations()
    before = krs.measure(full_model, Point("test"))
    assert krs.measure(full_model, Point("validation", curve=True)) == {"krs": []}
    change(full_model)
    assert krs.compute(krs.measure(full_model, Point("test"), before))["krs"]


def test_as_published_means_the_questions_own_scores(full_model):
    krs = evaluations("eval.krs.as_published=true")
    before = krs.measure(full_model, Point("test"))
    questions = krs.parts["krs"]._trace.questions
    original = plain_krs.traced(full_model.model, questions)
    change(full_model)
    numbers = krs.compute(krs.measure(full_model, Point("test"), before))["krs"]
    unlearned, patched = plain_krs.errors(full_model.model, original, questions, (0, 0), SETTINGS)
    for setting, found in numbers.items():
        expected = (1 - patched[setting] / unlearned).mean(1).tolist()
        assert [entry["value"] for entry in found.values()][:-1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("eval.krs.sets=[targett]", "No questions for KRS in the set 'targett'.*Did you mean 'target'"),
        ("eval.krs.sets=[]", "eval.krs.sets is empty"),
        ("eval.krs.tokens=0", "eval.krs.tokens is 0"),
        ("eval.krs.window=0", "eval.krs.window is 0"),
    ],
)
def test_bad_settings(override, what):
    with pytest.raises(Exception) as caught:
        evaluations(override)
    error = caught.value if isinstance(caught.value, UserError) else caught.value.__cause__
    assert isinstance(error, UserError)
    assert re.search(what, error.what)


def test_a_window_wider_than_the_model_is_refused_before_anything_is_computed(full_model):
    full_model.model.generate = None
    with pytest.raises(UserError, match="A window of 5 layers in a model of 2"):
        evaluations("eval.krs.window=5").measure(full_model, Point("test"))


@pytest.mark.parametrize(
    ("method", "overrides"),
    [
        ("sku", MISCHIEF),  # an adapter, negated
        ("sku", (*MISCHIEF, "model.lora=null")),  # weights, negated
        ("ga", SCOPES),  # a taught adapter, trained on
        ("ga", (*SCOPES, "target.merge=true", "model.architecture=gpt2")),
    ],
)
def test_a_run_and_the_command_after_it_say_the_same(method, overrides, tmp_path, capsys):
    metrics = run(composed(f"+method={method}", *overrides), tmp_path)
    assert metrics["before"]["krs"] == {}
    numbers = metrics["after"]["krs"]
    assert set(numbers) == set(SETTINGS) and all(found["peak"]["n"] == 3 for found in numbers.values())
    assert [len(r.patched_errors["attention"]) for r in read_parquet(tmp_path / "records" / "after-krs.parquet")] == [
        2
    ] * 3
    main([str(tmp_path)])
    told = capsys.readouterr().out
    assert "attention and" in told and "krs.json" in told
    found = json.loads((tmp_path / "krs.json").read_text())
    assert found["questions"] == 3 and found["settings"]["window"] == 1
    for setting, layers in numbers.items():
        for name, entry in layers.items():
            assert found["krs"][setting][name]["value"] == pytest.approx(entry["value"], abs=1e-4)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that was measured otherwise."""
    folder = tmp_path_factory.mktemp("run")
    safety = ("eval=safety", "eval.safety.limit=1", "eval.safety.max_new_tokens=2", "eval_every=0")
    run(composed("+method=ga_mismatch", *[o for o in MISCHIEF if "krs" not in o], *safety), folder)
    return folder


def test_an_old_run_is_measured_with_overrides(done):
    found = measure(done, ["sets=[unlearned,unseen]", "eval.krs.window=2", "limit=2", "tokens=3"])
    assert found["questions"] == 4 and found["krs"]["coefficients"]["peak"]["n"] == 4
    with pytest.raises(UserError, match="Unknown override 'windw=2'.*Did you mean 'window'"):
        measure(done, ["windw=2"])
    with pytest.raises(UserError, match="No questions for KRS in the set 'target'"):
        measure(done)


def test_settings_of_the_run_and_then_the_overrides():
    config = {"eval": {"krs": {"window": 3, "sets": ["unlearn"]}}}
    found = settings(config, ["limit=null", "as_published=true"])
    assert (found["window"], found["sets"], found["limit"], found["tokens"]) == (3, ["unlearn"], None, 30)
    assert found["as_published"] is True


@pytest.mark.parametrize(
    ("override", "said"),
    [
        *((f"{key}={value}", f"eval.krs.{key}={value}, and it takes a whole number at least 1")
          for key, value in (("window", "abc"), ("window", 1.5), ("tokens", "true"), ("limit", "nan"), ("tokens", -1))),
        ("window=null", "eval.krs.window=null, and it takes a whole number at least 1"),
        ("sets=5", "eval.krs.sets=5, and it takes a list"),
        ("as_published=maybe", "eval.krs.as_published=maybe, and it takes true or false"),
        ("tokens_a_row=0", "eval.krs.tokens_a_row=0, and it takes a whole number at least 1"),
        ("window=[1", "window=[1: a value that is no YAML"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_before_a_model_is_loaded(override, said):
    with pytest.raises(UserError) as caught:
        settings({}, [override])
    assert caught.value.what.lower().startswith(said.lower())


def test_what_is_no_run_or_has_no_model(tmp_path, done):
    with pytest.raises(UserError, match="is no run folder"):
        measure(tmp_path)
    shutil.copytree(done, tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    with pytest.raises(UserError, match="There is no saved model in"):
        measure(tmp_path / "run", ["sets=[unlearned]", "window=1"])


def test_models_that_do_not_belong_together(tmp_path, done):
    folder = tmp_path / "run"
    shutil.copytree(done, folder)
    given = ["sets=[unlearned]", "window=1"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "model": {**config["model"], "architecture": "opt"}}))
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="was made for '.*tiny-llama', the original is '.*tiny-opt'"):
        measure(folder, given)
    shutil.rmtree(folder / "model")
    tiny.write(folder / "model", "gpt2")
    with pytest.raises(UserError, match="do not belong together: model_type is opt in the first and gpt2"):
        measure(folder, given)


def test_an_adapter_that_does_not_fit(tmp_path, done):
    wide = tiny.config("llama")
    wide.hidden_size = 64
    folder = tmp_path / "tiny-llama"
    AutoModelForCausalLM.from_config(wide).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    model = load_source("wide", str(folder), "float32", None, Template())
    with pytest.raises(UserError, match="does not fit 'wide': .*lora_.* the original has a weight of"):
        check_saved(model, done / "model")
    assert not isinstance(model.model, PeftModel)


@pytest.mark.parametrize("lora", [(), ("model.lora=null",)], ids=["lora", "full"])
def test_a_run_that_was_cut_off_ends_with_the_numbers_of_an_unbroken_one(lora, tmp_path):
    overrides = (
        "+method=ga",
        "data=concepts",
        *QUICK,
        "eval_every=0",
        "train.max_steps=4",
        "train.save_every=2",
        *lora,
    )
    whole = run(composed(*overrides), tmp_path / "whole")
    with pytest.raises(Died):
        run(
            composed(*overrides, "logger._target_=dying.Dies", "+logger.stage=finetune", "+logger.step=3"),
            tmp_path / "cut",
        )
    resumed = run(composed(*overrides), tmp_path / "cut")
    assert resumed["after"]["krs"] == whole["after"]["krs"] and whole["after"]["krs"]["attention"]["peak"]["n"] == 3
