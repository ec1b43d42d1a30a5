"""The last lines of a run that lost what it was to keep."""

import json

import pytest
import yaml

from unlearnkit.measures import AnswerPerplexity, HarmfulRate, Perplexity, Success
from unlearnkit.measures.display import written
from unlearnkit.runs.retained import warning

SHOWN = {
    "e/bad/harmful_rate": written(HarmfulRate().display("forget")),
    "e/good/answer_perplexity": written(AnswerPerplexity().display("retain")),
    "e/good/success": written(Success().display("retain")),
    "e/rest/success": written(Success().display("holdout")),
}
WORDS = ["+method=ga", "model.path=a b", "train.arguments.learning_rate=1e-3"]
RATE = "train.arguments.learning_rate=0.00025"
SELECT = "'train.select={measure:harmful_rate,role:forget,while:{measure:answer_perplexity,role:retain,at_least:0.8}}'"


def numbers(harmful, perplexity, success, rest=0.9):
    values = {("bad", "harmful_rate"): harmful, ("good", "answer_perplexity"): perplexity}
    values |= {("good", "success"): success, ("rest", "success"): rest}
    nested = {"bad": {}, "good": {}, "rest": {}}
    for (name, measure), value in values.items():
        nested[name][measure] = {"value": value, "low": value, "high": value, "n": 9, "seed": 0}
    return {"e": nested}


def write(folder, after, curve=(), **stage):
    before = numbers(0.9, 10.0, 0.8)
    points = [{"stage": "s", "step": step, "metrics": point} for step, point in enumerate([before, *curve])]
    metrics = {"before": before, "after": after, "columns": SHOWN, "curve": points, "attacks": [], "moments": []}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    target = {"_target_": "unlearnkit.stages.Finetune", "select": None, **stage}
    config = {"stages": {"s": target}, "curve_split": "validation", "train": {"arguments": {"learning_rate": "1e-3"}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    "after",
    [
        numbers(0.0, 19.9, 0.41, rest=0.0),  # what is like forget may go
        numbers(0.0, 5.0, 0.9),
        numbers(0.9, 10.0, 0.8),
    ],
)
def test_nothing_is_said_of_what_was_kept(after, tmp_path):
    write(tmp_path, after)
    assert warning(tmp_path, WORDS) == []


@pytest.mark.parametrize(("without", "said"), [((), False), (("answer_perplexity", "success"), True)])
def test_another_way_of_speaking_is_no_loss_where_the_answers_are_kept(without, said, tmp_path):
    """Perplexity under the start model, from 10 to 40; the data's own answers are as probable as before."""
    write(tmp_path, numbers(0.0, 10.0, 0.8))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    metrics["columns"]["e/good/perplexity"] = written(Perplexity().display("retain"))
    for when, value in (("before", 10.0), ("after", 40.0)):
        measured = metrics[when]["e"]["good"]
        measured["perplexity"] = {**measured["success"], "value": value, "low": value, "high": value}
        for name in without:
            del measured[name]
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert bool(warning(tmp_path, WORDS)) == said


@pytest.mark.parametrize(
    ("ends", "said"), [((0.1, 0.9, 0.0, 0.2), False), ((0.4, 0.9, 0.0, 0.39), True), ((None, None, 0.0, 0.2), True)]
)
def test_what_may_be_chance_is_not_said(ends, said, tmp_path):
    """Success 0.8 and then 0.1, with the ends of the intervals of both."""
    write(tmp_path, numbers(0.0, 10.0, 0.1))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for when, (low, high) in (("before", ends[:2]), ("after", ends[2:])):
        metrics[when]["e"]["good"]["success"] |= {"low": low, "high": high}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert bool(warning(tmp_path, WORDS)) == said


def test_a_measured_step_that_kept_enough(tmp_path):
    write(tmp_path, numbers(0.0, 40.0, 0.2), curve=[numbers(0.5, 12.0, 0.7), numbers(0.0, 50.0, 0.1)])
    assert warning(tmp_path, WORDS) == [
        "The retain side fell below half of the start's: e/good/answer_perplexity kept 25% of it.",
        "This would keep more:",
        f"  python -m unlearnkit +method=ga 'model.path=a b' {SELECT}",
    ]


@pytest.mark.parametrize(
    ("curve", "stage"),
    [
        ([], {}),  # nothing was measured between
        ([numbers(0.5, 13.0, 0.6)], {}),  # no step kept 80 %
        ([numbers(0.5, 12.0, 0.7)], {"select": {"measure": "x"}}),  # it was selected already
    ],
)
def test_else_a_lower_rate(curve, stage, tmp_path):
    write(tmp_path, numbers(0.0, 10.0, 0.39), curve, **stage)
    told = warning(tmp_path, WORDS)
    assert "e/good/success kept 49% of it" in told[0]
    assert told[2] == f"  python -m unlearnkit +method=ga 'model.path=a b' {RATE}"


def test_a_number_that_is_none_anymore(tmp_path):
    """NaN is written as null, and is no share of anything."""
    after = numbers(0.0, 10.0, 0.8)
    after["e"]["good"]["success"]["value"] = None
    write(tmp_path, after)
    assert warning(tmp_path, WORDS) == []


def test_where_nothing_is_trained_there_is_no_rate(tmp_path):
    write(tmp_path, numbers(0.0, 1000.0, 0.0), _target_="unlearnkit.stages.Memit")
    assert len(warning(tmp_path, WORDS)) == 1
