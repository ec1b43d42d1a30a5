"""Other people's logs as records: made ones of both forms, and the real ones' numbers as they are known."""

import json
import math
from pathlib import Path

import pytest

from unlearnkit.errors import UserError
from unlearnkit.measures import HarmonicMean, KSTest, Probability, ProbabilityNormalised, RougeL, TruthRatio
from unlearnkit.records.peers import read_log

REAL = Path(__file__).parents[3] / "shared/data/tofu/logs"


def authors(rows=2):
    """A part as TOFU's authors write it: row n has a loss of n + 1 a token."""
    each = {str(n): n for n in range(rows)}
    return {
        "avg_gt_loss": {key: n + 1.0 for key, n in each.items()},
        "gt_loss": {key: 3 * (n + 1.0) for key, n in each.items()},
        "num_token_gt": dict.fromkeys(each, 3),
        "generated_text": {
            key: [f"[INST] Who is {n}? [/INST]", f"He is {n}.", f"It is {n}."] for key, n in each.items()
        },
        "average_perturb_loss": {key: [2.0, 4.0] for key in each},
        "num_token_perturb": {key: [1, 2] for key in each},
        "avg_paraphrased_loss": dict.fromkeys(each, 5.0),
        "num_token_paraphrased": dict.fromkeys(each, 2),
    }


def written(folder, told):
    path = folder / "log.json"
    path.write_text(json.dumps(told))
    return path


def test_of_the_authors(tmp_path):
    first, second, other = read_log(written(tmp_path, {"eval_log_forget.json": authors(), "eval_log.json": authors(1)}))
    assert (first.set, second.set, other.set) == ("forget", "forget", "retain")
    assert (second.id, second.prompt, second.response) == ("1", "[INST] Who is 1? [/INST]", "He is 1.")
    assert (second.answer, second.answer_log_probs) == ("It is 1.", [-2.0, -2.0, -2.0])
    assert second.alternative_log_probs == {"paraphrases": [[-5.0, -5.0]], "wrong": [[-2.0], [-4.0, -4.0]]}
    assert TruthRatio("share").values([first], "forget") == [pytest.approx(1 / (1 + math.exp(-3 + 5)))]


def test_of_open_unlearning(tmp_path):
    losses = {
        "Prob": {"prob": 0.1, "avg_loss": 2.0},
        "PARA_Prob": {"prob": 0.1, "avg_loss": 3.0},
        "PERT_Prob": {"prob": [0.1, 0.1], "avg_loss": [1.0, 5.0]},
        "ROUGE": {"input": "Who?", "generation": "He.", "ground_truth": "She.", "rougeL_recall": 0.0},
    }
    told = {f"forget_Q_A_{name}": {"agg_value": 0.1, "value_by_index": {"0": row}} for name, row in losses.items()}
    alone = {"ra_Q_A_Prob": {"agg_value": 0.1, "value_by_index": {"0": losses["Prob"]}}, "forget_quality": {"p": 1}}
    forget, author = read_log(written(tmp_path, {**told, **alone}))
    assert (forget.set, forget.id, forget.prompt, forget.answer) == ("forget", "0", "Who?", "She.")
    assert forget.answer_log_probs == [-2.0]
    assert forget.alternative_log_probs == {"paraphrases": [[-3.0]], "wrong": [[-1.0], [-5.0]]}
    assert (author.set, author.answer_log_probs, author.alternative_log_probs) == ("real_authors", [-2.0], None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no log"),
        ("[1]", "is no log"),
        ("{}", "tells of no rows"),
        ('{"forget_quality": {"agg_value": 0.1}}', "tells of no rows; it has: forget_quality"),
        ('{"eval_log.json": {"avg_gt_loss": {"0": 1}}}', "is no log"),
    ],
)
def test_what_is_no_log(tmp_path, text, said):
    path = tmp_path / "log.json"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_log(path)


def test_no_such_log(tmp_path):
    with pytest.raises(UserError, match="No log at .*nowhere"):
        read_log(tmp_path / "nowhere.json")


@pytest.fixture(scope="module")
def real():
    """Name of a model of the authors -> set -> records."""
    if not REAL.is_dir():
        pytest.skip(f"the logs of TOFU's authors are not here ({REAL})")
    found = {}
    for name in ("full", "retain90"):
        for record in read_log(REAL / f"llama2-7b_{name}.json"):
            found.setdefault(name, {}).setdefault(record.set, []).append(record)
    return found


@pytest.mark.parametrize(
    ("name", "ratio", "arithmetic", "utility"), [("full", 0.516, 0.530, 0.623), ("retain90", 0.674, 0.680, 0.614)]
)
def test_the_numbers_of_real_logs(real, name, ratio, arithmetic, utility):
    own = real[name]
    assert {side: len(rows) for side, rows in own.items()} == {
        "forget": 300,
        "retain": 300,
        "real_authors": 100,
        "world_facts": 117,
    }
    assert round(TruthRatio()(own["forget"], "forget").value, 3) == ratio
    assert round(TruthRatio(arithmetic=True)(own["forget"], "forget").value, 3) == arithmetic
    parts = [
        measure.values(own[side], "retain")
        for side, likely in (
            ("retain", Probability()),
            ("real_authors", ProbabilityNormalised()),
            ("world_facts", ProbabilityNormalised()),
        )
        for measure in (likely, RougeL("recall"), TruthRatio("true"))
    ]
    found = HarmonicMean({"retain": "any"}).of_groups(parts)
    assert round(found.value, 3) == utility and found.low < found.value < found.high


def test_the_forget_quality_of_real_logs(real):
    """Of the ratio itself, with which `share` falls; what is told of the forget side has folded it at 1."""
    values = {name: TruthRatio("share").values(own["forget"], "forget") for name, own in real.items()}
    found = KSTest("any", "forget", "never_knew").of_values(values["full"], values["retain90"])
    assert found.value == pytest.approx(1.83e-21, rel=0.005)
    assert KSTest("any", "forget", "never_knew").of_values(values["full"], values["full"]).value == 1
