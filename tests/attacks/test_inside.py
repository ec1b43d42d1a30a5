"""What an attack sees inside of the start, the unlearned model and the control, and where a run says it."""

import json

import inside
import numpy as np
import pytest
from composed import composed

from unlearnkit.attacks import LogitLens
from unlearnkit.attacks.inside import peak
from unlearnkit.errors import UserError
from unlearnkit.measure.runs import measure_run
from unlearnkit.run import run
from unlearnkit.runs.summary import show

RUN = (
    "+method=ga", "data=authors", "data.authors=6", "model=tiny", "logger=none", "eval_every=0", "train.max_steps=6",
    "train.arguments.learning_rate=0.05", "eval.scopes.limit=6", "eval.scopes.max_new_tokens=2",
    "target.min_accuracy=0", "target.stage.max_steps=10", "+control@controls=never_knew",
    "+attack=[logit_lens,depth,linear_probe]",
    "+train.arguments.disable_tqdm=true", "+target.stage.arguments.disable_tqdm=true",
)  # fmt: skip
ATTACKS = ["logit_lens", "depth", "linear_probe"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(composed(*RUN), folder)


def test_each_attack_has_looked_at_all_three_models(made, capsys):
    folder, metrics = made
    moments = {moment["name"]: moment["numbers"] for moment in metrics["moments"]}
    assert list(moments) == [
        "never_knew", *(f"{name}/never_knew" for name in ATTACKS), "start", *(f"{name}/start" for name in ATTACKS),
        "finetune", *ATTACKS,
    ]  # fmt: skip
    for name in ("logit_lens", "linear_probe"):
        peak = metrics["recovered"][name]["shares"]["inside"]["unlearn"]["peak"]
        assert {model: moments[name + behind]["inside"]["unlearn"]["peak"]["value"] for model, behind in (
            ("start", "/start"), ("unlearned", ""), ("never_knew", "/never_knew"))} == {
            model: peak[model] for model in ("start", "unlearned", "never_knew")}  # fmt: skip
    assert "layer_01" in moments["depth"]["inside"]["unlearn"]
    show(folder)
    said = capsys.readouterr().out
    assert "Under attack" in said and "logit_lens" in said and "peak" in said
    page = (folder / "report.html").read_text()
    assert "logit_lens by layer (unlearn)" in page and "depth by layer (unlearn)" in page


def test_a_saved_run_shows_the_same(made):
    folder, metrics = made
    measure_run(folder, ["+attack=[logit_lens,depth]"])
    again = json.loads((folder / "metrics.json").read_text())
    for name in ("logit_lens", "depth"):
        before, after = (
            next(m["numbers"]["inside"]["unlearn"] for m in found["moments"] if m["name"] == name)
            for found in (metrics, again)
        )
        for measure, number in before.items():
            assert after[measure]["value"] == pytest.approx(number["value"], abs=1e-5)


def test_the_layer_is_chosen_on_other_rows_than_it_is_told_of():
    rows = [[0.0, 1.0], [0.2, 0.0], [0.0, 1.0], [0.4, 0.0]]
    assert peak(rows, 0).value == 0.0 and peak(rows, 0).n == 2
    assert peak(rows[:1], 0).value == 1.0
    assert peak([[1.0, 1.0], [0.0, 0.5]], 0).value == 0.5  # of two alike the last
    assert peak(rows[1:], 0).value == pytest.approx(np.mean([0.0]))


def test_data_without_answers_to_forget_are_refused():
    data = inside.Data("bare", {}, {"forget": {"test": [inside.Example("f", "Who?")]}})
    with pytest.raises(UserError, match="needs 1: the data 'bare' have 0 on the forget side"):
        inside.bound(LogitLens(), data=data)
