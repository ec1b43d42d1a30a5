"""WMDP's questions through the harness, from local files in each layout, and the embedded ones."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Point
from unlearnkit.general import General, rows
from unlearnkit.general.local import EMBEDDED, generate
from unlearnkit.models import tiny

ROW = {"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": 2}


def jsonl(file, *found):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in found))


@pytest.mark.parametrize(
    "name", ["wmdp/bio.jsonl", "wmdp/wmdp_bio.json", "wmdp-bio/test.jsonl", "wmdp/wmdp-bio/t.jsonl"]
)
def test_each_layout(tmp_path, name):
    jsonl(tmp_path / name, ROW, {**ROW, "answer": 0})
    assert rows.wmdp(tmp_path, "bio") == {"test": [ROW, {**ROW, "answer": 0}]}


def test_the_hub_s_own_parquet(tmp_path):
    (tmp_path / "wmdp-cyber").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([ROW]), tmp_path / "wmdp-cyber/test-00000-of-00001.parquet")
    assert rows.wmdp(tmp_path, "cyber") == {"test": [ROW]}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("question", "", "the field 'question' is missing or empty"),
        ("choices", ["a", "b", "c"], "no list of four texts"),
        ("choices", "abcd", "no list of four texts"),
        ("choices", ["a", "b", "c", ""], "no list of four texts"),
        ("answer", 4, "none of 0, 1, 2, 3"),
        ("answer", "C", "none of 0, 1, 2, 3"),
        ("answer", True, "none of 0, 1, 2, 3"),
        ("answer", None, "none of 0, 1, 2, 3"),
    ],
)
def test_a_bad_row_is_named(tmp_path, key, value, said):
    jsonl(tmp_path / "wmdp/cyber.jsonl", ROW, {**ROW, key: value})
    with pytest.raises(UserError, match=said) as error:
        rows.wmdp(tmp_path, "cyber")
    assert "cyber.jsonl:2" in error.value.what


def test_no_questions_at_all(tmp_path):
    with pytest.raises(UserError, match=r"no data for the task 'wmdp_bio': there is no .*bio.jsonl"):
        generate(tmp_path, ["wmdp_bio"])


def test_the_embedded_questions_have_their_answers_in_the_embedded_texts():
    for subject in ("bio", "cyber"):
        told = " ".join(
            json.loads(line)["text"] for line in (EMBEDDED / f"{subject}-forget-corpus.jsonl").open()
        ).lower()
        for row in rows.wmdp(EMBEDDED, subject)["test"]:
            words = [word.strip(".").lower() for word in row["choices"][row["answer"]].split() if len(word) > 4]
            assert all(word[:5] in told for word in words), row


def test_right_answers_of_what_is_to_be_forgotten_are_better_fewer():
    part = General(["wmdp_bio", "mmlu"], [], data_dir="embedded", forget=["wmdp_bio"], samples=True)
    part.bind("general", Data("none", {}))
    records = part.measure(tiny.load(lora=None), Point("test"), original=[])
    assert {record.set for record in records} == {"wmdp_bio", "mmlu"}
    assert "The following are multiple choice questions (with answers) about biology." in records[0].prompt
    numbers = part.compute(records)
    right = [record.response == record.answer for record in records if record.set == "wmdp_bio"]
    assert numbers["wmdp_bio"]["acc"]["value"] == sum(right) / 10 and numbers["mmlu"]["acc"]["n"] == 12
    assert part.columns()["wmdp_bio"]["acc"].better == "lower"
    assert "mmlu" not in part.columns()


def test_a_task_to_forget_that_is_not_asked():
    with pytest.raises(UserError, match=r"Unknown task 'wmdp_boi' in eval.general.forget. Did you mean 'wmdp_bio'"):
        General(["wmdp_bio"], [], forget=["wmdp_boi"]).bind("general", Data("none", {}))
