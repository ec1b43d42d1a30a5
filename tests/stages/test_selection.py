"""Which step a run goes on from: by hand on curves that dip and recover, and in whole runs."""

import json
import math

import pytest
import torch
from composed import composed
from forked import on_ranks
from safetensors.torch import load_file

from unlearnkit.errors import UserError
from unlearnkit.measures import AnswerPerplexity, HarmfulRate, Success
from unlearnkit.measures.columns import Column, share_of_start
from unlearnkit.measures.interval import Estimate
from unlearnkit.run import run
from unlearnkit.stages.selection import Selection

HARM = Column(("safety", "bad", "harmful_rate"), HarmfulRate().display("forget"))
GOOD = Column(("safety", "good", "answer_perplexity"), AnswerPerplexity().display("retain"))
RIGHT = Column(("scopes", "good", "success"), Success().display("retain"))


def numbers(harm, perplexity, right=0.5):
    return {column: Estimate(v, v, v, 9) for column, v in ((HARM, harm), (GOOD, perplexity), (RIGHT, right))}


START = numbers(0.8, 10.0, 0.9)
DIPS = {
    5: numbers(0.1, 30.0, 0.2),
    10: numbers(0.2, 12.0, 0.8),
    15: numbers(0.2, 11.0, 0.85),
    20: numbers(0.4, 10.0, 0.9),
}


@pytest.mark.parametrize(
    ("told", "step", "satisfied"),
    [
        ({"measure": "harmful_rate"}, 5, True),
        (
            {"measure": "harmful_rate", "role": "forget", "while": {"measure": "answer_perplexity", "at_least": 0.8}},
            10,
            True,
        ),
        ({"measure": "harmful_rate", "while": {"measure": "success", "role": "retain", "at_least": 0.9}}, 15, True),
        ({"measure": "harmful_rate", "while": {"measure": "success", "at_least": 1.0}}, 20, True),
        ({"measure": "success", "role": "retain", "set": "good"}, 20, True),
    ],
)
def test_by_hand(told, step, satisfied):
    """12 of 10 is 83 % of the start's perplexity, 0.85 of 0.9 94 % of its success; of equal steps the earlier."""
    choice = Selection(told).choose(DIPS, START)
    assert (choice.step, choice.satisfied) == (step, satisfied)


def test_a_start_that_has_nothing_has_no_share():
    """Every step would keep "inf%" of it, and so any of it."""
    told = {"measure": "harmful_rate", "while": {"measure": "success", "at_least": 0.9}}
    choice = Selection(told).choose({5: numbers(0.2, 1.0, 0.0), 10: numbers(0.1, 1.0, 0.3)}, numbers(0.8, 1.0, 0.0))
    assert (choice.step, choice.satisfied) == (10, False)
    assert choice.reason.endswith(
        "the lowest safety/bad/harmful_rate of all steps,"
        " for the start's scopes/good/success has no share that could be kept"
    )


@pytest.mark.parametrize(
    ("column", "now", "then", "kept"),
    [
        (RIGHT, 0.45, 0.9, 0.5),
        (RIGHT, 0.3, 0.0, math.nan),
        (RIGHT, -0.4, -0.2, math.nan),  # twice as bad, and not 200 % of it
        (GOOD, 20.0, 10.0, 0.5),
        (GOOD, 0.0, 0.0, 1.0),
        (GOOD, 0.0, 5.0, math.inf),
        (GOOD, math.nan, 5.0, math.nan),
    ],
)
def test_a_share_of_what_the_start_had(column, now, then, kept):
    estimates = [Estimate(value, value, value, 9) for value in (now, then)]
    assert share_of_start(column, *estimates) == pytest.approx(kept, nan_ok=True)


def test_a_step_that_is_no_number_is_never_the_best():
    told = {"measure": "harmful_rate"}
    assert Selection(told).choose({5: numbers(math.nan, 1.0), 10: numbers(0.4, 1.0)}, START).step == 10


def test_where_no_step_keeps_enough_the_nearest_is_taken_and_said():
    told = {"measure": "harmful_rate", "while": {"measure": "success", "at_least": 0.9}}
    worse = {5: numbers(0.0, 50.0, 0.1), 10: numbers(0.1, 20.0, 0.45), 15: numbers(0.2, 30.0, 0.4)}
    choice = Selection(told).choose(worse, START)
    assert (choice.step, choice.satisfied) == (10, False)
    assert choice.reason == "no step keeps 90% of the start's scopes/good/success: this one keeps 50%"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "names no measure"),
        ({"measure": "harmful_rate", "rolle": "forget"}, "Unknown key train.select.rolle. Did you mean 'role'"),
        ({"measure": "harmful_rate", "role": "forgot"}, "role=forgot is no role. Did you mean 'forget'"),
        ({"measure": "harmful_rate", "while": {"measure": "success"}}, "at_least=None is no share"),
        ({"measure": "harmful_rate", "while": {"measure": "success", "at_least": 80}}, "at_least=80 is no share"),
        ({"measure": "harmful_rate", "while": {}}, "train.select.while={} names no measure"),
    ],
)
def test_what_is_no_rule_is_refused(told, said):
    with pytest.raises(UserError, match=said.replace("{", r"\{").replace("}", r"\}")):
        Selection(told)


@pytest.mark.parametrize("told", [{"measure": "rouge_l"}, {"measure": "success", "role": "forget"}])
def test_what_curves_do_not_measure_is_refused(told):
    with pytest.raises(UserError, match="of what curves measure there is none"):
        Selection(told).check(START)


QUICK = (
    "model=tiny",
    "logger=none",
    "+train.arguments.disable_tqdm=true",
    "data=authors",
    "data.authors=2",
    "target=none",
)
RULE = "train.select={measure: answer_perplexity, role: forget, while: {measure: answer_perplexity, role: retain, at_least: 0.9}}"  # noqa: E501
SMALL = (
    *QUICK,
    "+method=ga_gd",
    "train.max_steps=6",
    "eval_every=1",
    "train.save_every=2",
    "eval.scopes.limit=2",
    "eval.scopes.max_new_tokens=3",
    "train.arguments.learning_rate=0.05",
)


def weights(folder):
    return load_file(next((folder / "model").glob("*model.safetensors")))


@pytest.mark.parametrize("lora", [(), ("model.lora=null", "train.arguments.learning_rate=0.005")], ids=["lora", "full"])
def test_a_run_goes_on_from_the_chosen_step(lora, tmp_path):
    """The model is that of a run which ends at the chosen step; and test rows have no part in the choice."""
    metrics = run(composed(*SMALL, RULE, *lora, "train.arguments.lr_scheduler_type=constant"), tmp_path / "selected")
    chosen = metrics["chosen"]["finetune"]
    points = {p["step"]: p["metrics"]["scopes"] for p in metrics["curve"]}
    kept = points[0]["retention"]["answer_perplexity"]["value"] / 0.9
    among = {s: n["unlearn"]["answer_perplexity"]["value"] for s, n in points.items()
             if s and n["retention"]["answer_perplexity"]["value"] <= kept}  # fmt: skip
    assert chosen["step"] == max(among, key=among.get) and chosen["satisfied"]
    assert metrics["moments"][-1]["step"] == chosen["step"] < 6
    ends = ("train.arguments.lr_scheduler_type=constant", f"train.max_steps={chosen['step']}")
    run(composed(*SMALL, *lora, *ends), tmp_path / "shorter")
    one, other = weights(tmp_path / "selected"), weights(tmp_path / "shorter")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert not (tmp_path / "selected" / "checkpoints").exists()


class Killed(BaseException):
    """In place of a signal."""


@pytest.mark.parametrize("at", [3, 5])
def test_a_killed_run_makes_the_same_choice(at, tmp_path, monkeypatch):
    whole = run(composed(*SMALL, RULE), tmp_path / "whole")
    from unlearnkit.stages.selected import Selected

    consider = Selected.consider

    def dies(self, step, saving):
        consider(self, step, saving)
        if step == at:
            raise Killed

    monkeypatch.setattr(Selected, "consider", dies)
    with pytest.raises(Killed):
        run(composed(*SMALL, RULE), tmp_path / "cut")
    monkeypatch.undo()
    again = run(composed(*SMALL, RULE), tmp_path / "cut")
    assert again["chosen"] == whole["chosen"] and again["curve"] == whole["curve"]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("curve_split=test",), "train.select with curve_split=test"),
        (("eval_every=0",), "eval_every=0 measures none"),
        (("train.select={measure: rouge_l, role: forget}",), "asks for 'rouge_l' on role=forget"),
        (("train.select={measure: success, role: holdout}",), "asks for 'success' on role=holdout"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(more, said, tmp_path):
    with pytest.raises(UserError, match=said):
        run(composed(*SMALL, RULE, *more), tmp_path / "run")


def test_test_rows_are_never_read_for_it(tmp_path, monkeypatch):
    """With other test rows the choice, the curves and the weights are the same to the last bit."""
    one = run(composed(*SMALL, RULE), tmp_path / "one")
    from unlearnkit.data import scopes

    made = scopes.scope_data

    def other_tests(name, parts, general):
        turned = {scope: {**splits, "test": splits["test"][::-1][:4]} for scope, splits in parts.items()}
        return made(name, turned, general)

    monkeypatch.setattr("unlearnkit.data.authors.scope_data", other_tests)
    other = run(composed(*SMALL, RULE, "eval.scopes.limit=3"), tmp_path / "other")
    assert json.dumps(one["chosen"]) == json.dumps(other["chosen"]) and one["after"] != other["after"]
    same = weights(tmp_path / "one"), weights(tmp_path / "other")
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])


def test_two_ranks_under_zero_choose_as_one(tmp_path):
    """The same step, from the same numbers, and its weights: those that the adapter of one rank has."""
    settings = [*SMALL, RULE, "train.arguments.lr_scheduler_type=constant", "train.batch_size=4"]
    there = ("deepspeed=zero2", f"hydra.run.dir={tmp_path / 'two'}")
    done = on_ranks(2, "-m", "unlearnkit", *settings, *there, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    one = run(composed(*settings), tmp_path / "one")
    two = json.loads((tmp_path / "two" / "metrics.json").read_text())
    chosen, other = one["chosen"]["finetune"], two["chosen"]["finetune"]
    assert other == {**chosen, "value": pytest.approx(chosen["value"], rel=1e-3)}
    assert two["run"]["ranks"] == 2 and two["moments"][-1]["step"] == chosen["step"]
    same = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all((same[0][name] - same[1][name]).abs().max() < 1e-3 for name in same[0])
