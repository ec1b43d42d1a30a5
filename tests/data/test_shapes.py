"""Rows in the columns of known data sets, each against what it says."""

import json

import pytest

from unlearnkit.data.files import load
from unlearnkit.data.shapes import usual
from unlearnkit.errors import UserError

Q, RIGHT, OTHERS = "Which is a river?", "Rhine", ["Alps", "Rome"]
THREE = ["Alps", "Rhine", "Rome"]
LABELLED = [{"text": "Alps", "label": "A"}, {"text": "Rhine", "label": "B"}, {"text": "Rome", "label": "C"}]


@pytest.mark.parametrize(
    ("values", "prompt", "wrong"),
    [
        ({"question": Q, "choices": THREE, "answer": 1}, Q, OTHERS),
        ({"question": Q, "choices": THREE, "answer": "1", "subject": "geography"}, Q, OTHERS),
        ({"question": Q, "choices": THREE, "answer": "B"}, Q, OTHERS),
        ({"question": Q, "options": THREE, "answer": "Rhine"}, Q, OTHERS),
        ({"question": Q, "choices": {"text": THREE, "label": ["1", "2", "3"]}, "answerKey": "2"}, Q, OTHERS),
        ({"question": {"stem": Q, "choices": LABELLED}, "answerKey": "B"}, Q, OTHERS),
        ({"question": Q, "choice0": "Alps", "choice1": "Rhine", "choice2": "Rome", "answer": "1"}, Q, OTHERS),
        ({"question": Q, "A": "Alps", "B": "Rhine", "C": "Rome", "answer": "B"}, Q, OTHERS),
        ({"question": Q, "choices": {"text": THREE, "label": ["1", "2", "3"]}, "answerKey": 2}, Q, OTHERS),
        ({"question": Q, "choice0": "2", "choice1": "1", "choice2": RIGHT, "answer": "2"}, Q, ["2", "1"]),
        ({"question": Q, "A": "B", "B": RIGHT, "C": "A", "answer": "B"}, Q, ["B", "A"]),
        ({"question": Q, "answerA": "Alps", "answerB": "Rhine", "answerC": "Rome", "label": "2"}, Q, OTHERS),
        (
            {"context": "On maps.", "question": Q, "answerA": "Alps", "answerB": "Rhine", "answerC": "Rome",
             "correct": "B"},
            f"On maps.\n\n{Q}",
            OTHERS,
        ),
        ({"text": Q, "labels": RIGHT}, Q, []),
        ({"src": Q, "pred": "Rome", "answers": [RIGHT], "alt": "Alps", "loc": "nq question: x"}, Q, ["Alps"]),
        ({"question": Q, "answer": RIGHT, "perturbed_answer": OTHERS}, Q, OTHERS),
        (
            {"case_id": 7, "requested_rewrite": {"prompt": "{} flows through", "subject": "The Rhine",
             "target_true": {"str": RIGHT, "id": "Q1"}, "target_new": {"str": "Alps", "id": "Q2"}}},
            "The Rhine flows through",
            ["Alps"],
        ),
    ],
)  # fmt: skip
def test_known_rows(values, prompt, wrong, tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(values) + '\n{"prompt": "Else?", "response": "b"}\n')
    (row,) = (row for row in load(forget=str(path)).streams["forget"] if row.response != "b")
    assert (row.prompt, row.response) == (prompt, RIGHT)
    assert list(row.alternatives.get("wrong", ())) == wrong


def test_several_answers_are_paraphrases_of_the_first(tmp_path, capsys):
    rows = [
        {"question": "What?", "answer": ["a", "b", "a"], "note": 1},
        {"question": "Else?", "answer": "c", "paraphrased_answer": "d"},
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = load(forget=str(path)).streams["forget"]
    assert [(row.response, row.alternatives) for row in found] == [
        ("a", {"paraphrases": ("b",)}), ("c", {"paraphrases": ("d",)})]  # fmt: skip
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"2 of 2 rows of forget give several answers ({path}:1): the first is trained on and measured, the others are"
        " its paraphrases",
        "Columns of forget that are not read: note",
    ]


def test_flags_of_beavertails_are_a_category(tmp_path):
    row = {"prompt": "p", "response": "r", "category": {"violence": True, "privacy": False, "theft": True}}
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(json.dumps({**row, "prompt": f"p{n}"}) for n in range(2)))
    assert [row.category for row in load(forget=str(path)).streams["forget"]] == ["violence, theft"] * 2


@pytest.mark.parametrize(
    ("values", "said", "fix"),
    [
        ({"prompt": "p", "chosen": "a", "rejected": "b"}, "chosen, rejected", "data.columns.response=chosen"),
        ({"prompt": "p", "response_0": "a", "response_1": "b"}, "response_0, response_1", "data=saferlhf"),
        ({"Concept": "c", "QA": []}, "Concept, QA", "data=concepts"),
        ({"subject": "s", "attribute": "a", "prompt": "p", "relation_id": "P1"}, "subject", "data=facts"),
        ({"article": "a", "questions": [], "options": []}, "article, questions", "one question a row"),
        ({"question": Q, "choices": THREE, "answer": 3}, "answer 3 of 3 choices", "data.columns.prompt="),
        ({"question": Q, "choices": THREE, "answer": "Danube"}, "Danube", "data.columns.prompt="),
        ({"question": Q, "choices": ["2", "3", "4"], "answer": "2"}, "the name of one choice and the text", "data.col"),
        ({"question": Q, "choices": ["B", "A"], "answer": "B"}, "the name of one choice and the text", "data.columns"),
        ({"question": Q, "choices": THREE, "answer": ""}, "answer  of 3 choices", "data.columns.prompt="),
        ({"question": Q, "choices": 7, "answer": 0}, "not in the shape", "data.columns.prompt="),
        ({"text": "t", "labels": [0, 1]}, "labels is no text", "data.columns.prompt="),
        ({"requested_rewrite": {"prompt": "p"}}, "KeyError('subject')", "data.columns.prompt="),
        ({"question": Q, "answerA": "a", "answerB": "b", "answerC": "c", "label": "4"}, "label 4", "data.columns"),
    ],
)
def test_rows_that_name_their_option(values, said, fix):
    with pytest.raises(UserError) as raised:
        usual("f.jsonl:1", values)
    assert raised.value.what.startswith("f.jsonl:1: a row of ") and said in raised.value.what
    assert fix in raised.value.fix


def test_named_columns_win_over_a_known_shape(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"p{n}", "chosen": "a", "rejected": "b"}) for n in range(2)))
    assert [row.response for row in load(forget=str(path), columns={"response": "rejected"}).streams["forget"]] == [
        "b", "b"]  # fmt: skip


def test_json_called_text_is_refused(tmp_path):
    (tmp_path / "f.txt").write_text('{"prompt": "p", "response": "r"}\n{"prompt": "q", "response": "r"}')
    with pytest.raises(UserError, match="f.txt holds JSON and not plain text"):
        load(forget=str(tmp_path / "f.txt"))
