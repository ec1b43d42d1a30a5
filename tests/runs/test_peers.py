"""Records in OpenUnlearning's form: by hand, and read back as what they were."""

import json
import math

import pytest

from unlearnkit.measures import Probability, ProbabilityNormalised, RougeL, TruthRatio
from unlearnkit.records.peers import read_log
from unlearnkit.records.record import Record, write_parquet
from unlearnkit.runs.peers import main, open_unlearning

LN2 = math.log(2)
ROWS = [
    Record(
        "forget",
        f"tofu-{n}",
        f"Who is {n}?",
        response="He is Ann.",
        tokens=4 * (n == 0),
        answer="She is Ann.",
        answer_log_probs=[-LN2, -3 * LN2],
        alternative_log_probs={"paraphrases": [[-LN2]], "wrong": [[-2 * LN2, -2 * LN2], [-4 * LN2]]},
    )
    for n in range(2)
]
OTHER = Record(
    *("real_authors", "r", "Who?"),
    answer="A",
    answer_log_probs=[-LN2],
    alternative_log_probs={"wrong": [[-1.0]]},
)


def test_by_hand():
    found = open_unlearning([*ROWS, OTHER])
    assert list(found) == [
        *(f"forget_Q_A_{name}" for name in ("Prob", "PARA_Prob", "PERT_Prob", "ROUGE")),
        "forget_truth_ratio",
        *(f"ra_Q_A_{name}" for name in ("Prob", "PERT_Prob")),
    ]
    assert found["forget_Q_A_Prob"]["agg_value"] == pytest.approx(1 / 4)
    assert found["forget_Q_A_PERT_Prob"]["value_by_index"]["1"]["prob"] == pytest.approx([1 / 4, 1 / 16])
    assert list(found["forget_Q_A_ROUGE"]["value_by_index"]) == ["0"]  # the other was not answered
    assert found["forget_truth_ratio"]["value_by_index"]["0"]["score"] == pytest.approx(1 / 4)  # (1/8) / (1/2)
    assert found["forget_truth_ratio"]["agg_value"] == pytest.approx(1 / 4)


def test_read_back(tmp_path):
    records = tmp_path / "records"
    records.mkdir()
    write_parquet([*ROWS, OTHER], records / "after-tofu.parquet")
    assert main([str(tmp_path), "--output", str(tmp_path / "log.json")]) == 0
    read = read_log(tmp_path / "log.json")
    assert [(row.set, row.id, row.prompt) for row in read] == [
        ("forget", "0", "Who is 0?"),
        ("forget", "1", ""),
        ("real_authors", "0", ""),
    ]
    for measure in (Probability(), ProbabilityNormalised(), TruthRatio(), TruthRatio("share"), RougeL("recall")):
        assert measure.values(read, None) == pytest.approx(measure.values([*ROWS, OTHER], None))


def test_what_is_not_there(tmp_path, capsys):
    records = tmp_path / "records"
    records.mkdir()
    write_parquet([Record("unlearn", "1", "p")], records / "before-scopes.parquet")
    assert main([str(tmp_path), "--output", str(tmp_path / "log.json")]) == 2
    assert "there are: before-scopes" in capsys.readouterr().err
    words = ["--moment", "before", "--evaluation", "scopes", "--output", str(tmp_path / "log.json")]
    assert main([str(tmp_path), *words]) == 2
    assert "no record of forget, retain" in capsys.readouterr().err
    assert not (tmp_path / "log.json").exists()


def test_it_is_json(tmp_path):
    assert json.loads(json.dumps(open_unlearning(ROWS))) == open_unlearning(ROWS)
