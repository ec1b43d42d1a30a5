"""Which columns of a row hold what, by their usual names and by those that are given."""

import pytest
from own_rows import PAIRS, chat, jsonl, read

from unlearnkit.data.columns import Columns
from unlearnkit.errors import UserError


@pytest.mark.parametrize(
    "row",
    [
        lambda p, r: {"prompt": p, "response": r},
        lambda p, r: {"question": p, "answer": r},
        lambda p, r: {"Question ": p, "ANSWER": r},
        lambda p, r: {"instruction": p, "input": "", "output": r},
        lambda p, r: {"input": p, "output": r},
        lambda p, r: {"prompt": p, "completion": r, "text": "other"},
        lambda p, r: {"question": p, "answer": [r, "It is also red."]},
        lambda p, r: {"question": p, "answers": {"text": [r], "answer_start": [3]}},
        lambda p, r: {"messages": chat(p, r)},
        lambda p, r: {"conversations": [{"from": "human", "value": p}, {"from": "gpt", "value": r}]},
        lambda p, r: {"prompt": chat(p, r)[:1], "completion": chat(p, r)[1:]},
        lambda p, r: {"messages": chat([{"type": "text", "text": p}], r)},
        lambda p, r: {"prompt": p, "messages": chat(p, r), "prompt_id": "x"},
        lambda p, r: {"prompt": p, "response": r, "category": "animals", "is_safe": False},
    ],
)
def test_usual_columns(row, tmp_path):
    assert read(jsonl(tmp_path / "f.jsonl", [row(*pair) for pair in PAIRS])) == PAIRS


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (
            {"system": "Be brief.", "context": "It rains.", "question": "Why?", "answer": "a"},
            "Be brief.|It rains.|Why?",
        ),
        ({"instruction": "Add.", "input": "1 and 2", "output": "a"}, "Add.|1 and 2"),
        ({"messages": chat("Why?", "a", system="Be brief.")}, "Be brief.|Why?"),
        ({"system": "Be brief.", "messages": chat("Why?", "a")}, "Be brief.|Why?"),
        ({"prompt": chat("Why?", "a", system="Be brief.")[:2], "completion": "a"}, "Be brief.|Why?"),
        ({"question": 7, "answer": "a"}, "7"),
    ],
)
def test_what_stands_beside_the_prompt(row, prompt, tmp_path):
    other = {"question": "Else?", "answer": "b"}
    assert read(jsonl(tmp_path / "f.jsonl", [row, other]))[0] == (prompt.replace("|", "\n\n"), "a")


def test_named_columns(tmp_path):
    path = jsonl(tmp_path / "f.jsonl", [{"q": p, "a": r, "prompt": "other"} for p, r in PAIRS])
    assert read(path, columns={"prompt": "q", "response": "a"}) == PAIRS


def test_one_column_for_two_texts_is_refused():
    with pytest.raises(UserError, match="^data.columns.prompt=text and data.columns.response=text are one column"):
        Columns(prompt="text", response="text")
    Columns(prompt="question", response="answer", id="question")
