"""A choice that could not be made, or would be made on what it is reported on: refused before a model is loaded."""

import json
import shutil

import pytest
from composed import composed

from unlearnkit import configuration
from unlearnkit.data import mischief
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.run import run
from unlearnkit.runs.checks import check_held_out
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Run

QUICK = ("+method=sku", "model=tiny", "logger=none", "train.max_steps=2", "eval_every=1", "train.save_every=0")
WHILE = "while: {measure: answer_perplexity, role: retain, at_least: 0.8}"
SELECT = f"train.select={{measure: harmful_rate, role: forget, {WHILE}}}"


def told(tmp_path, monkeypatch, *words):
    """The two lines of a run that ends before its model is loaded."""
    monkeypatch.setattr("unlearnkit.models.tiny.load", lambda **_: pytest.fail("the model was loaded"))
    with pytest.raises(Exception) as caught:
        run(composed(*QUICK, *words), tmp_path / "run")
    error = configuration.explain(caught.value)
    assert isinstance(error, UserError), caught.value
    assert error.what and error.fix and "\n" not in error.what + error.fix
    return error


@pytest.mark.parametrize("budget", [(), ("train.tune=2",)])
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((SELECT.replace("harmful_rate", "rouge_l"),), "asks for 'rouge_l' on role=forget"),
        ((SELECT.replace("role: retain", "role: holdout"),), "asks for 'answer_perplexity' on role=holdout"),
        ((SELECT, "+eval.safety.curve_measures=[perplexity]"), "asks for 'harmful_rate' on role=forget"),
        ((SELECT, "+eval.safety.curve_measures=[]"), "asks for 'harmful_rate' on role=forget"),
        ((SELECT, "eval.safety.sets.normal=[similarity]"), "asks for 'answer_perplexity' on role=retain"),
        ((SELECT, "~eval.safety.sets.normal"), "asks for 'answer_perplexity' on role=retain"),
    ],
)
def test_a_rule_over_what_the_run_does_not_measure(words, what, budget, tmp_path, monkeypatch):
    assert what in told(tmp_path, monkeypatch, *words, *budget).what


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("train.tune=2", "+eval.safety.curve_measures=[]"), "train.tune has nothing to choose by"),
        (("train.tune=2", "+eval.safety.curve_measures=[harmful_rate]"), "train.tune has nothing to choose by"),
        (("train.tune=2", "eval_every=0"), "eval_every=0 measures none"),
        ((SELECT, "eval_every=0"), "eval_every=0 measures none"),
    ],
)
def test_nothing_to_choose_by_or_among(words, what, tmp_path, monkeypatch):
    assert what in told(tmp_path, monkeypatch, *words).what


@pytest.mark.parametrize("word", ["train.tune=0", "train.tune=1", "train.max_steps=0", "eval.safety.curve_limit=0"])
def test_a_budget_of_nothing_is_refused_by_its_bound(word):
    with pytest.raises(UserError, match=word.replace("train.max", "max")):
        check(composed("+method=sku", "model=tiny", word), Run)


@pytest.fixture
def leaking(tmp_path):
    """mischief with one of its unseen test prompts in validation too, in other letters and signs."""
    folder = shutil.copytree(mischief.EMBEDDED, tmp_path / "mischief")
    rows = [json.loads(line) for line in (folder / "unseen.jsonl").read_text().splitlines()]
    prompt = next(row["prompt"] for row in rows if row["split"] == "test")
    again = {"id": "again", "category": "pranks", "split": "validation", "prompt": f"{prompt.upper()} !"}
    (folder / "unseen.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, again]))
    return folder


@pytest.mark.parametrize("words", [(SELECT,), ("train.tune=2",), (SELECT, "train.tune=2")])
def test_validation_that_overlaps_the_test(words, leaking, tmp_path, monkeypatch):
    error = told(tmp_path, monkeypatch, *words, f"data.path={leaking}")
    assert "1 of its 41 rows of the set 'unseen' are test rows too ('again')" in error.what


def test_nothing_is_refused_where_nothing_is_chosen(leaking, tmp_path):
    words = ("eval.safety.limit=2", "eval.safety.curve_limit=2", "eval.safety.max_new_tokens=2", "save_model=false")
    assert run(composed(*QUICK, *words, f"data.path={leaking}"), tmp_path / "run")["after"]


def test_texts_without_a_prompt_are_compared_too():
    rows = {"validation": [Example("a", "", "One text.")], "test": [Example("b", "", "one  text")]}
    with pytest.raises(UserError, match="1 of its 1 rows of the set 'texts' are test rows"):
        check_held_out(Data("d", {}, {"texts": rows}), "validation", "train.select")
    apart = {"validation": [Example("a", "", "One text.")], "test": [Example("b", "", "Another.")]}
    check_held_out(Data("d", {}, {"texts": apart, "none": {"test": []}}), "validation", "train.select")
