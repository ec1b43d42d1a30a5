"""The general evaluation on the tiny model: the harness's numbers, the adapter on, nothing else disturbed."""

import contextlib
import io
import os
import random
import subprocess
import sys
from pathlib import Path

import lm_eval
import numpy as np
import pytest
import torch
from composed import composed
from hydra.utils import instantiate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from unlearnkit import configuration, tables
from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.general import harness
from unlearnkit.general.local import FILES, generate
from unlearnkit.run import run
from unlearnkit.tables.reading import collect

NAMES = [name for name in FILES if not name.startswith("wmdp")]  # those of eval=general
NO_DATA = Data("none", {}, {})
REAL = Path(__file__).parents[3] / "shared/data/general"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Records of an earlier test must not answer for this one's."""
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))


def evaluations(folder, *overrides):
    cfg = composed("model=tiny", "eval=general", f"eval.general.data_dir={folder}", *overrides)
    return Evaluations(instantiate(cfg.eval, _convert_="all"), NO_DATA, 0)


def numbers_of(found, model):
    return found.compute(found.measure(model, Point("test")))["general"]


def by_the_harness(model, folder, batch_size, **arguments):
    """lm-eval called directly, on the same generated tasks."""
    manager = TaskManager(include_path=str(generate(folder, NAMES)), include_defaults=False)
    held = HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=batch_size)
    return lm_eval.simple_evaluate(held, tasks=NAMES, task_manager=manager, **arguments)


@pytest.mark.parametrize("batch_size", [2, "auto"])
def test_numbers_equal_the_harness_called_directly(written, lora_model, batch_size):
    numbers = numbers_of(evaluations(written, f"eval.general.batch_size={batch_size}"), lora_model)
    expected = by_the_harness(lora_model, written, 2)
    assert list(numbers) == [*NAMES, "average"]
    assert [numbers[name]["acc"]["n"] for name in NAMES] == [8, 4, 3, 3, 3, 11]
    for name in NAMES:
        for metric, number in numbers[name].items():
            value, stderr = (expected["results"][name][f"{key},none"] for key in (metric, f"{metric}_stderr"))
            if batch_size == 2 or name != "truthfulqa_mc2":  # MC2 is a probability, so rounding shows in it
                assert (number["value"], number["stderr"]) == (value, stderr)
            else:
                assert (number["value"], number["stderr"]) == pytest.approx((value, stderr), rel=1e-3)
            assert number["low"] <= number["value"] <= number["high"] and number["lm_eval"] == lm_eval.__version__
            assert str(number["task_version"]) == str(expected["versions"][name]) and number["num_fewshot"] == 0
    assert set(numbers["arc_challenge"]) == {"acc", "acc_norm"} and set(numbers["mmlu"]) == {"acc"}
    parts = [numbers[name]["acc"] for name in NAMES if name != "truthfulqa_mc2"]
    average = numbers["average"]["acc"]
    assert average["value"] == pytest.approx(np.mean([part["value"] for part in parts]))
    assert average["stderr"] == pytest.approx(np.sqrt(sum(part["stderr"] ** 2 for part in parts)) / 5)


def test_examples_in_front_are_the_harness_s_own(written, lora_model):
    shots = evaluations(
        written, "eval.general.num_fewshot.mmlu=2", "eval.general.tasks=[mmlu]", "eval.general.batch_size=2"
    )
    numbers = numbers_of(shots, lora_model)
    manager = TaskManager(include_path=str(generate(written, ["mmlu"])), include_defaults=False)
    held = HFLM(pretrained=lora_model.model, tokenizer=lora_model.tokenizer, batch_size=2)
    expected = lm_eval.simple_evaluate(held, tasks=["mmlu"], task_manager=manager, num_fewshot=2)
    assert numbers["mmlu"]["acc"]["value"] == expected["results"]["mmlu"]["acc,none"]
    assert numbers["mmlu"]["acc"]["num_fewshot"] == 2 and "average" not in numbers
    samples = shots.parts["general"].loaded.tasks["mmlu_marketing"].instances
    assert "Dev 0?\nA. a" in samples[0].args[0] and "Dev 1?" in samples[0].args[0]


def test_the_adapter_is_on_and_the_model_is_not_copied(written, lora_model, monkeypatch):
    found = evaluations(written, "eval.general.tasks=[truthfulqa_mc2]")
    seen = []
    monkeypatch.setattr(harness, "log_likelihoods", lambda model, *rest: seen.append(model) or real(model, *rest))
    before = found.measure(lora_model, Point("test"))
    lora_model.weights.make_trainable()
    same = found.measure(lora_model, Point("test"), before)
    for name, weight in lora_model.model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.5)
    after = found.measure(lora_model, Point("test"), before)
    values = [found.compute(r)["general"]["truthfulqa_mc2"]["acc"]["value"] for r in (before, same, after)]
    assert values[0] == pytest.approx(values[1], rel=1e-3) != pytest.approx(values[2], rel=0.1)
    assert seen[-1] is lora_model.model
    assert values[2] == pytest.approx(
        by_the_harness(lora_model, written, 1)["results"]["truthfulqa_mc2"]["acc,none"], rel=1e-3
    )


real = harness.log_likelihoods


def test_random_states_modes_and_the_tokenizer_stay_as_they_were(written, lora_model):
    lora_model.tokenizer.pad_token = None
    lora_model.tokenizer.eos_token = None  # the harness would then add a token of its own
    size = len(lora_model.tokenizer)
    lora_model.model.train()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        numbers = numbers_of(evaluations(written, "eval.general.limit=1"), lora_model)
    assert out.getvalue() == ""
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert lora_model.model.training and len(lora_model.tokenizer) == size and lora_model.tokenizer.pad_token is None
    assert numbers["mmlu"]["acc"]["n"] == 2 and numbers["race"]["acc"]["stderr"] is None


def test_a_limit_and_what_records_hold(written, lora_model):
    few = evaluations(written, "eval.general.limit=2").measure(lora_model, Point("test"))["general"]
    assert len(few) == 2 * 7 and not any(record.prompt or record.answer or record.response for record in few)
    assert few[0].set == "mmlu" and few[0].category == "mmlu_marketing" and set(few[0].scores) == {"acc,none"}
    asked = evaluations(written, "eval.general.limit=2", "eval.general.samples=true")
    record = next(r for r in asked.measure(lora_model, Point("test"))["general"] if r.set == "social_iqa")
    assert record.prompt == "Q: Ann met 0. Why?\nA:" and record.answer == "to see"
    assert record.response in ("to eat", "to go", "to see") and record.scores["acc,none"] == (
        record.response == "to see"
    )


def test_curves_only_where_asked(written, lora_model):
    assert evaluations(written).measure(lora_model, Point("validation", curve=True)) == {"general": []}
    asked = evaluations(written, "eval.general.curve_limit=1", "eval.general.tasks=[race]")
    assert len(asked.measure(lora_model, Point("validation", curve=True))["general"]) == 1


def test_the_original_model_is_measured_once(written, lora_model):
    passed = []
    lora_model.model.register_forward_hook(lambda *_: passed.append(1))
    found = evaluations(written, "eval.general.tasks=[race]")
    first = found.measure(lora_model, Point("test"))
    count = len(passed)
    assert found.measure(lora_model, Point("test")) == first and len(passed) == count
    evaluations(written, "eval.general.tasks=[race]", "eval.general.limit=3").measure(lora_model, Point("test"))
    assert len(passed) > count


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["eval.general.tasks=[mmlu,rase]"], "Unknown general task 'rase' for local files. Did you mean 'race'"),
        (["eval.general.tasks=[]"], "eval.general.tasks is empty"),
        (["eval.general.num_fewshot.race=2"], "local files have examples for mmlu alone"),
        (["+eval.general.num_fewshot.truthfulqa_mc1=2"], "the harness fixes this task at 0"),
        (["+eval.general.num_fewshot.rice=2"], "Unknown task 'rice' in eval.general.num_fewshot.*Did you mean 'race'"),
        (["eval.general.data_dir=/nowhere"], "eval.general.data_dir=/nowhere is no folder"),
    ],
)
def test_bad_settings_are_two_lines(written, overrides, said):
    with pytest.raises(Exception, match=said) as caught:
        evaluations(written, *overrides)
    told = configuration.explain(caught.value)
    assert isinstance(told, UserError) and told.fix and "\n" not in told.what + told.fix


def test_a_chat_template_is_the_model_s_own(written, lora_model):
    found = evaluations(written, "eval.general.chat_template=true", "eval.general.tasks=[race]", "eval.general.limit=1")
    found.measure(lora_model, Point("test"))
    prompt = found.parts["general"].loaded.tasks["race"].instances[0].args[0]
    assert prompt.startswith("<s>user: Article: Article 1.") and prompt.endswith("assistant:")
    lora_model.tokenizer.chat_template = None
    with pytest.raises(UserError, match="the tokenizer of 'tiny' has no chat template"):
        found.measure(lora_model, Point("test"))


def test_no_hub_and_no_files_is_two_lines_before_anything_is_computed(tmp_path):
    command = [sys.executable, "-m", "unlearnkit", "model=tiny", "eval=general", "logger=none", "hydra.run.dir=out"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    told = [line for line in done.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert done.returncode == 2 and len(told) == 2, done.stderr
    assert "No data for the general task 'mmlu'" in told[0] and "eval.general.data_dir=FOLDER" in told[1]
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["ga", "memflex"])
def test_the_tables_columns_beside_the_scopes(written, tmp_path, method):
    quick = ("model=tiny", "data=authors", "data.authors=1", "logger=none", "train.max_steps=1", "eval_every=0")
    general = ("eval=[scopes,general]", f"eval.general.data_dir={written}", "eval.general.limit=1", "save_model=false")
    small = ("eval.scopes.limit=2", "eval.scopes.max_new_tokens=2", "eval.scopes.generate_limit=1")
    run(composed(f"+method={method}", *quick, *general, *small), tmp_path / "run")
    (table,) = tables.aggregate(collect(tmp_path), columns=["both/average_success", "general/*/acc"])
    assert [column[1] for column in table.columns] == ["both", *NAMES, "average"]
    assert all(column in table.rows[row] for row in ("original", method) for column in table.columns)
    assert "average/acc ↑" in tables.markdown(table)


@pytest.mark.skipif(not REAL.is_dir(), reason="the original files are not here")
def test_the_original_files_through_the_harness(lora_model):
    numbers = numbers_of(
        evaluations(REAL, "eval.general.limit=1", "eval.general.tasks=[arc_challenge,social_iqa]"), lora_model
    )
    assert {name: number["acc"]["n"] for name, number in numbers.items()} == {"arc_challenge": 1, "social_iqa": 1}
