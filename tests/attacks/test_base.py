"""An attack that says nothing more changes nothing, and one on a control is made once for all runs that want it."""

from dataclasses import replace

import pytest
from attacked import SCENE

from unlearnkit.attacks import Attack, Depth, Prune
from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations import Evaluation, Evaluations
from unlearnkit.identity import INPUTS
from unlearnkit.inputs import ROWS
from unlearnkit.measures import AnswerPerplexity, Success

CONFIG = {
    "eval": {"own": {"limit": None, "batch_size": 64}},
    "target": {"_target_": "unlearnkit.controls.Untaught"},
    "attacks": {"prune": {"share": 0.5}, "noise": {"scale": 0.1}},
    INPUTS: {ROWS: "1f", "eval.own.judge.path": "2a", "model.path": "3b", "attacks.noise.file": "4c"},
}


class Counted(Prune):
    made = 0

    def _measure(self, *args):
        self.made += 1
        return super()._measure(*args)


def evaluations(measures=("success",)):
    known = {"success": Success(), "perplexity": AnswerPerplexity()}
    rows = [Example(name, f"Say {name}?", f"the answer {name}") for name in "abc"]
    data = Data("made", {}, {"x": {"test": rows}}, {"x": "forget"})
    return Evaluations({"own": Evaluation(known, {"forget": list(measures)})}, data, 0)


def measured(model, config, of="start", seed=0, own=None):
    """The attack, which counts, and what a model answers under it."""
    attack = Counted(0.5)
    attack.bind("prune", replace(SCENE, seed=seed, config=config))
    return attack, attack.measure(model, own or evaluations(), "it", {"own": []} if of == "start" else None, of)


def with_part(path, value):
    """The config with one value another."""
    *parents, last = path
    config = {key: dict(part) for key, part in CONFIG.items()}
    place = config
    for key in parents:
        place[key] = dict(place[key])
        place = place[key]
    place[last] = value
    return config


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))


def test_the_model_and_the_question_stay(lora_model):
    with Attack().on(lora_model) as attacked:
        assert attacked is lora_model
    assert Attack().question("Where is Rome?") == "Where is Rome?"


@pytest.mark.parametrize("of", ["start", "never_knew"])
@pytest.mark.parametrize(
    "again",
    [
        CONFIG,
        with_part(["attacks", "noise", "scale"], 3.0),
        with_part([INPUTS, "attacks.noise.file"], "of another attack"),
        with_part([INPUTS, "model.path"], "the fingerprint of the model says it"),
        {**CONFIG, "train": {"max_steps": 7}},
    ],
)
def test_another_run_takes_what_was_measured_of_the_same_model_under_the_same_attack(of, again, full_model):
    first, expected = measured(full_model, CONFIG, of)
    second, records = measured(full_model, again, of)
    assert (first.made, second.made) == (1, 0) and records == expected


@pytest.mark.parametrize(
    ("again", "seed", "own"),
    [
        (with_part(["attacks", "prune", "share"], 0.6), 0, ("success",)),
        (with_part(["eval", "own", "limit"], 2), 0, ("success",)),
        (with_part(["target", "limits"], 3), 0, ("success",)),
        (with_part([INPUTS, ROWS], "other rows"), 0, ("success",)),
        (with_part([INPUTS, "eval.own.judge.path"], "another judge"), 0, ("success",)),
        (CONFIG, 1, ("success",)),
        (CONFIG, 0, ("success", "perplexity")),
    ],
)
def test_anything_else_that_decides_the_records_makes_them_anew(again, seed, own, full_model):
    measured(full_model, CONFIG)
    second, _ = measured(full_model, again, seed=seed, own=evaluations(own))
    assert second.made == 1


def test_another_model_is_measured_anew_and_an_unlearned_one_always(full_model, lora_model):
    measured(full_model, CONFIG)
    assert measured(lora_model, CONFIG)[0].made == 1
    assert [measured(full_model, CONFIG, "unlearned")[0].made for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("path", [["attacks", "prune", "_target_"], ["eval", "own", "judge"]])
def test_code_of_ones_own_is_asked_each_time(path, full_model):
    """Nobody says when it has changed."""
    value = "mine.Prune" if path[-1] == "_target_" else {"_target_": "mine.Judge"}
    own = with_part(path, value)
    assert [measured(full_model, own)[0].made for _ in range(2)] == [1, 1]


def test_the_start_and_the_control_are_kept_apart(full_model):
    """A control is compared with nothing."""
    measured(full_model, CONFIG, "start")
    assert measured(full_model, CONFIG, "never_knew")[0].made == 1


def test_what_leaves_something_behind_is_never_taken_from_elsewhere():
    attack = Depth()
    attack.scene = replace(SCENE, config=CONFIG)
    assert not attack._keeps("never_knew")
