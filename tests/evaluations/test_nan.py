"""A model whose logits are no numbers is measured by nothing, whatever the evaluation reads of it."""

import contextlib
import json
import math
import re

import pytest
import torch
from composed import composed
from forked import command
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point, not_a_number
from unlearnkit.models.finite import NoNumbers, refuse_odd, watched
from unlearnkit.records.record import Record
from unlearnkit.run import run

SMALL = ("eval.safety.limit=2", "eval.safety.max_new_tokens=3")
KINDS = {
    "safety": ("eval=safety", *SMALL),
    "scopes": ("eval=scopes", "eval.scopes.max_new_tokens=3"),
    "concepts": ("eval=concepts", "eval.concepts.max_new_tokens=3"),
    "facts": ("eval=facts",),
    "krs": ("eval=krs", "eval.krs.limit=2", "eval.krs.tokens=3", "eval.krs.window=1"),
}
ROLES = {"unseen": "holdout", "normal": "general", "target": "forget", "retention": "retain"}


def asked():
    rows = [Example(f"{n}", f"How {n}?", f"So {n}.") for n in range(3)]
    return Data("made", {}, {name: {"test": rows, "validation": rows[:1]} for name in ROLES}, ROLES)


def evaluations_of(kind):
    return Evaluations(instantiate(composed("model=tiny", *KINDS[kind]).eval, _convert_="all"), asked(), 0)


def spoil(model, value):
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if "norm" in name:
                weight.view(-1)[0] = value
                return


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_every_evaluation_refuses_it_again_and_again(kind, value, full_model):
    spoil(full_model, value)
    for _ in range(2):  # what was computed is not kept
        with pytest.raises(UserError, match=rf"are no numbers \(NaN or infinite\) in eval.{kind}, at step 3 of 'x'"):
            evaluations_of(kind).measure(full_model, Point("test", "at step 3 of 'x'"))


def test_krs_refuses_an_unlearned_model_too(full_model):
    evaluations = evaluations_of("krs")
    before = evaluations.measure(full_model, Point("test"))
    spoil(full_model, math.nan)
    with pytest.raises(UserError, match="in eval.krs, after the stages"):
        evaluations.measure(full_model, Point("test", "after the stages"), before)


def test_a_large_logit_is_a_number_and_a_forbidden_token_is_too(full_model):
    head = full_model.model.get_output_embeddings()
    for value, odd in ((1e30, False), (-math.inf, False), (math.inf, True), (math.nan, True)):
        with watched(full_model.model), pytest.raises(NoNumbers) if odd else contextlib.nullcontext():
            for logits in (torch.zeros(1, 2), torch.tensor([[0.0, value]]), torch.zeros(0, 2), torch.zeros(1, 2)):
                for hook in head._forward_hooks.values():
                    hook(head, (), logits)
            refuse_odd()
    refuse_odd()
    assert not head._forward_hooks


@pytest.mark.parametrize(
    ("fields", "odd"),
    [
        ({"answer_log_probs": [-1.0, math.nan]}, True),
        ({"reference_log_probs": [math.nan]}, True),
        ({"alternative_log_probs": {"paraphrases": [[-1.0]], "wrong": [[-1.0], [-2.0, math.nan]]}}, True),
        ({"alternative_log_probs": {"wrong": [[-math.inf]]}}, False),
        ({"scores": {"acc,none": math.nan}}, True),
        ({"similarity": math.nan}, True),
        ({"unlearned_error": math.inf}, True),
        ({"answer_log_probs": [-math.inf, -1e30], "unlearned_error": 1e30, "scores": {"acc,none": None}}, False),
        ({}, False),
    ],
)
def test_what_a_record_may_hold(fields, odd):
    assert not_a_number(Record("a", "1", "p", **fields)) is odd


def test_a_metric_that_is_no_number_is_refused():
    evaluations = evaluations_of("safety")
    evaluations.parts["safety"].compute = lambda records, seed, controls: {
        "normal": {"odd": {"value": math.inf, "n": 3}}
    }
    with pytest.raises(UserError, match="odd on the set 'normal' of eval.safety is inf, no number"):
        evaluations.compute({"safety": []})


@pytest.mark.parametrize(("every", "moment"), [(1, "at step 0|at step 1"), (0, None)])
def test_a_run_that_diverges_ends_in_two_lines_and_its_numbers_are_json(every, moment, tmp_path):
    words = ("+method=task_vector", "model=tiny", "logger=none", f"eval_every={every}", "train.max_steps=1", *SMALL)
    ended = command("unlearnkit", *words, "stages.negate.scale=1e39", f"hydra.run.dir={tmp_path}")
    told = rf"Error: The logits of 'tiny' are no numbers .* in eval.safety, ({moment}).*\n  Fix: The model has diverged"
    if moment is None:
        told = r"Error: The stage 'negate' left weights that are no numbers .*, first in '.*'\n  Fix: Lower"
    assert ended.returncode == 2 and re.search(told, ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr

    def refused(word):
        raise AssertionError(f"{word} is no JSON")

    kept = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refused)
    assert kept["after"] is None and kept["before"]["safety"]["normal"]["perplexity"]["n"] == 2


def test_numbers_of_a_whole_run_are_json_and_one_prompt_has_null_bounds(tmp_path):
    one = ("eval.safety.limit=1", "eval.safety.max_new_tokens=3", "eval_every=0", "train.max_steps=1")
    run(composed("+method=ga", "model=tiny", "logger=none", *one), tmp_path)
    text = (tmp_path / "metrics.json").read_text()
    number = json.loads(text)["after"]["safety"]["normal"]["perplexity"]
    assert "NaN" not in text and "Infinity" not in text
    assert number["value"] > 1 and number["low"] is None and number["high"] is None
