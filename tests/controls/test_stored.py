"""Records of a control that somebody stored: of the rows that are measured, and of a model that never knew them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from unlearnkit.controls.stored import check_never_taught, stored
from unlearnkit.data import tofu
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.measures import TruthRatio
from unlearnkit.records.record import Record, write_parquet

REAL = Path(__file__).parents[3] / "shared/data/tofu"
ROWS = [Example(f"tofu-{n}", f"Who is {n}?", f"It is {n}. ") for n in range(4)]
DATA = Data("made", {}, {"forget": {"test": ROWS[:2]}, "retain": {"test": ROWS[2:]}})


def records(probability=0.1):
    return [
        Record(side, row.id, row.prompt, answer=row.response, answer_log_probs=[-1.0, -2.0])
        for side, rows in (("forget", ROWS[:2]), ("retain", ROWS[2:]))
        for row in rows
    ]


def log(*parts, question="Who is {}?", answer="It is {}."):
    """A log of the authors': set -> rows' numbers."""
    told = {}
    for name, numbers in parts:
        keys = [str(n) for n in range(len(numbers))]
        spoken = [[f"[INST] {question.format(n)} [/INST]", "said", answer.format(n)] for n in numbers]
        told[name] = {
            "avg_gt_loss": dict.fromkeys(keys, 1.0),
            "num_token_gt": dict.fromkeys(keys, 2),
            "generated_text": dict(zip(keys, spoken, strict=True)),
            "average_perturb_loss": dict.fromkeys(keys, [3.0]),
            "num_token_perturb": dict.fromkeys(keys, [1]),
            "avg_paraphrased_loss": dict.fromkeys(keys, 2.0),
            "num_token_paraphrased": dict.fromkeys(keys, 1),
        }
    return told


def test_a_runs_records(tmp_path):
    path = tmp_path / "never_knew-own.parquet"
    write_parquet([*records(), Record("elsewhere", "x", "p")], path)
    assert stored(path, DATA, ["own", "other"]) == {"own": records(), "other": records()}


def test_a_log_has_our_ids(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log(("eval_log_forget.json", [0, 1]), ("eval_log.json", [2]))))
    found = stored(path, DATA, ["tofu"])["tofu"]
    assert [(r.set, r.id, r.prompt) for r in found] == [
        ("forget", "tofu-0", "Who is 0?"),
        ("forget", "tofu-1", "Who is 1?"),
        ("retain", "tofu-2", "Who is 2?"),
    ]


@pytest.mark.parametrize(
    ("numbers", "changes", "said"),
    [
        ([1, 0], {}, "its row 0 of the set 'forget' is .*Who is 1.* which here is 'Who is 0"),
        ([0, 1, 2], {}, "its row 2 of the set 'forget' is .* which here is not there"),
        ([0, 1], {"question": "Who was {}?"}, "of other data than 'made'"),
        ([0, 1], {"answer": "He is {}."}, "of other data than 'made'"),
    ],
)
def test_a_log_of_other_data(tmp_path, numbers, changes, said):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log(("eval_log_forget.json", numbers), **changes)))
    with pytest.raises(UserError, match=said) as error:
        stored(path, DATA, ["tofu"])
    assert "the same order of rows" in error.value.fix


@pytest.mark.parametrize("change", [{"prompt": "Who else?"}, {"answer": "Nobody."}, {"id": "tofu-9"}, {"id": "7"}])
def test_records_of_other_data(tmp_path, change):
    path = tmp_path / "records.parquet"
    write_parquet([*records()[:3], replace(records()[3], **change)], path)
    with pytest.raises(UserError, match="of other data than 'made'"):
        stored(path, DATA, ["own"])


def test_of_none_of_the_sets(tmp_path):
    path = tmp_path / "records.parquet"
    write_parquet([Record("unlearn", "1", "p")], path)
    with pytest.raises(UserError, match="records of the sets unlearn, and the data 'made' has forget, retain"):
        stored(path, DATA, ["own"])


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="No records at") as error:
        stored(tmp_path / "x.parquet", DATA, ["own"])
    assert "controls.never_knew.records=" in error.value.fix


def sided(forget, retain):
    """Records with these log-probabilities a token."""
    rows = [("forget", forget), ("retain", retain)]
    return {"own": [Record(side, str(n), "p", answer_log_probs=[p]) for side, p in rows for n in range(3)]}


@pytest.mark.parametrize(
    ("forget", "retain", "refused"),
    [(-0.01, -0.01, True), (-0.1, -0.05, True), (-2.0, -0.01, False), (-5.0, -5.0, False), (-0.2, -0.01, False)],
)
def test_a_control_that_was_taught_the_forget_side(forget, retain, refused):
    if not refused:
        return check_never_taught(sided(forget, retain), DATA, "a/b")
    with pytest.raises(UserError, match=r"never_knew \(a/b\) was taught what is to be forgotten"):
        check_never_taught(sided(forget, retain), DATA, "a/b")


def test_where_one_side_was_not_measured_nothing_is_said():
    check_never_taught({"own": sided(-0.01, -0.01)["own"][:3], "other": []}, DATA, "a/b")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real TOFU is not here ({REAL})")
def test_real_logs():
    data = tofu.load(path=str(REAL))
    found = stored(REAL / "logs/llama2-7b_retain90.json", data, ["tofu"])
    check_never_taught(found, data, "retain90")
    forget = [record for record in found["tofu"] if record.set == "forget"]
    assert (len(forget), forget[0].id) == (300, "tofu-3601")
    assert TruthRatio()(forget, "forget").value == pytest.approx(0.674, abs=5e-4)
    full = stored(REAL / "logs/llama2-7b_full.json", data, ["tofu"])
    with pytest.raises(UserError, match=r"was taught what is to be forgotten: .* 0\.99, and 0\.99"):
        check_never_taught(full, data, "full")
    other = tofu.load(path=str(REAL), forget="forget05")
    with pytest.raises(UserError, match="of other data than 'tofu': its row 0 of the set 'forget'"):
        stored(REAL / "logs/llama2-7b_retain90.json", other, ["tofu"])
