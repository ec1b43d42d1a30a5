"""A file with other forms of the questions: every question that is to be forgotten has one."""

import json

import pytest

from unlearnkit.attacks import Paraphrase, Scene, Translate
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError

ROWS = [Example("a", "Who wrote it?", "Ann"), Example("b", "Where is Rome?", "Italy")]


def bound(attack):
    attack.bind("it", Scene(Data("made", {}), questions=ROWS))
    return attack


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(("kind", "column"), [(Paraphrase, "paraphrase"), (Translate, "translation")])
def test_a_file_of_questions_is_asked_and_one_that_lacks_some_is_refused(kind, column, tmp_path):
    rows = [{"question": row.prompt, column: f"{n}?"} for n, row in enumerate(ROWS)]
    attack = bound(kind(written(tmp_path / "own.jsonl", rows)))
    assert [attack.question(row.prompt) for row in ROWS] == ["0?", "1?"]
    with pytest.raises(UserError, match="lacks 1 of 2 questions of the forget side, first: Where is Rome"):
        bound(kind(written(tmp_path / "own.jsonl", rows[:1])))
    with pytest.raises(UserError, match=f"own.jsonl:1: no text in the column '{column}'; it has: question"):
        bound(kind(written(tmp_path / "own.jsonl", [{"question": "Who?"}])))
