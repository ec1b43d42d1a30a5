"""`train.tune`: what is chosen, that the run is the one with that rate, and what a kill or a divergence leaves."""

import json

import pytest
import yaml
from composed import composed
from dying import Died

from unlearnkit.errors import UserError
from unlearnkit.run import run
from unlearnkit.runs.summary import chosen
from unlearnkit.runs.tuning import Trial, around

RUN = (
    "+method=ga_gd", "model=tiny", "data=authors", "data.authors=2", "logger=none", "train.max_steps=4", "eval_every=2",
    "eval.scopes.limit=3", "eval.scopes.max_new_tokens=4", "target.min_accuracy=0", "target.stage.epochs=1",
    "train.arguments.learning_rate=1e-2", "+train.arguments.disable_tqdm=true", "save_model=false",
)  # fmt: skip
SELECT = "train.select={measure:success,role:forget,while:{measure:answer_perplexity,role:retain,at_least:0.5}}"


@pytest.mark.parametrize(
    ("count", "rates"),
    [
        (2, [1e-3, 3e-3]),
        (3, [3.3e-4, 1e-3, 3e-3]),
        (4, [3.3e-4, 1e-3, 3e-3, 9e-3]),
        (5, [1.1e-4, 3.3e-4, 1e-3, 3e-3, 9e-3]),
    ],
)
def test_rates_around_the_default(count, rates):
    assert around(1e-3, count) == rates
    assert around(1.234e-5, 2)[0] == 1.234e-5  # the default itself is not rounded


def records(folder):
    return {path.name: path.read_bytes() for path in (folder / "records").iterdir()}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return folder, run(composed(*RUN, SELECT, "train.tune=3"), folder)


def test_the_run_is_the_one_with_the_chosen_rate(tuned, tmp_path):
    folder, metrics = tuned
    rate = metrics["tuned"]["rate"]
    words = [word for word in RUN if "learning_rate" not in word]
    by_hand = run(composed(*words, SELECT, f"train.arguments.learning_rate={rate}"), tmp_path)
    assert records(folder) == records(tmp_path)
    assert metrics["curve"] == by_hand["curve"]
    assert metrics["chosen"] == by_hand["chosen"]
    assert metrics["chosen"]["finetune"]["step"] == metrics["tuned"]["step"]  # the trial's own step


def test_what_is_written(tuned):
    folder, metrics = tuned
    told = metrics["tuned"]
    assert told["default"] == 1e-2
    assert sorted({row["rate"] for row in told["tried"]}) == [3.3e-3, 1e-2, 3e-2]
    assert len(told["tried"]) == 6  # two measured steps a rate
    assert list(told["start"]) == ["scopes/unlearn/success", "scopes/retention/answer_perplexity"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["tuned"] == {"default": 1e-2, "rate": told["rate"]}
    assert config["stages"]["finetune"]["arguments"]["learning_rate"] == told["rate"]
    assert not (folder / "checkpoints").exists()
    assert f"The learning rate {told['rate']:g} was chosen on validation" in (folder / "report.html").read_text()


def test_a_finished_run_is_done(tuned):
    folder, metrics = tuned
    assert run(composed(*RUN, SELECT, "train.tune=3"), folder) == json.loads((folder / "metrics.json").read_text())
    with pytest.raises(UserError, match="holds a run of another config"):
        run(composed(*RUN, SELECT, "train.tune=2"), folder)


def test_the_choice_is_by_hand_the_same(tuned):
    """Of all (rate, step) that keep half of the start's perplexity, the highest success on what is to be forgotten."""
    told = tuned[1]["tuned"]
    start = list(told["start"].values())
    enough = [row for row in told["tried"] if start[1] / row["values"][1] >= 0.5]
    best = max(enough, key=lambda row: (row["values"][0], -row["rate"], -row["step"]))
    assert (best["rate"], best["step"]) == (told["rate"], told["step"])


@pytest.mark.parametrize("place", [(1e-2, 0), (3.3e-3, 2), (3e-2, 4)])
def test_a_killed_tuning_goes_on(place, tuned, tmp_path, monkeypatch):
    whole, written = Trial.write, []

    def dies(self, stage, step, *numbers):
        whole(self, stage, step, *numbers)
        written.append((float(self.folder.name), step))
        if written[-1] == place:
            raise Died

    monkeypatch.setattr(Trial, "write", dies)
    words = (*RUN, SELECT, "train.tune=3", "train.save_every=1")
    with pytest.raises(Died):
        run(composed(*words), tmp_path)
    monkeypatch.setattr(Trial, "write", whole)
    metrics = run(composed(*words), tmp_path)
    assert metrics["tuned"] == tuned[1]["tuned"]
    assert records(tmp_path) == records(tuned[0])


def test_without_select_the_last_steps_are_compared(tmp_path):
    told = run(composed(*RUN, "train.tune=2"), tmp_path)["tuned"]
    assert [(row["rate"], row["step"]) for row in told["tried"]] == [(1e-2, 4), (3e-2, 4)]
    assert list(told["start"]) == ["scopes/unlearn/success", "scopes/retention/success"]


def test_a_rate_that_diverges_is_no_choice(tmp_path, monkeypatch):
    monkeypatch.setattr("unlearnkit.runs.tuning.FACTOR", 1e25)
    metrics = run(composed(*RUN, "train.tune=2"), tmp_path)
    told = metrics["tuned"]
    assert told["rate"] == 1e-2
    assert [row["rate"] for row in told["tried"]] == [1e-2]
    assert list(told["diverged"]) == ["1e+23"]
    assert "no numbers" in told["diverged"]["1e+23"] or "diverged" in told["diverged"]["1e+23"]
    assert "1e+23 diverged" in chosen(metrics)[0]


def test_all_rates_diverge(tmp_path):
    words = [word for word in RUN if "learning_rate" not in word]
    with pytest.raises(UserError, match="diverged at every rate of train.tune=2: 1e[+]22, 3e[+]22"):
        run(composed(*words, "train.arguments.learning_rate=1e22", "train.tune=2"), tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("curve_split=test",), "rows that it is then reported on"),
        (("eval_every=0",), "eval_every=0 measures none"),
        (("~eval.scopes.sets.retention", "~eval.scopes.sets.both"), "nothing on the retain side"),
        ((SELECT.replace("success", "harmful_rate"),), "of what curves measure there is none"),
    ],
)
def test_what_cannot_be_tuned(words, said, tmp_path):
    with pytest.raises(UserError, match=said):
        run(composed(*RUN, *words, "train.tune=2"), tmp_path)


def test_a_method_that_trains_nothing(tmp_path):
    words = ("+method=memit_empty", "model=tiny", "data=concepts", "logger=none", "save_model=false")
    with pytest.raises(UserError, match="'memit_empty' trains nothing"):
        run(composed(*words, "train.tune=2", "eval_every=2"), tmp_path)
