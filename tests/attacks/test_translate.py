"""Questions in another language: what comes back by it, and that the translations are a file's."""

import json

import pytest
from attacked import before_and_under, taught

from unlearnkit.attacks import Scene, Translate
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError

ROWS = [Example("a", "Who wrote it?", "Ann"), Example("b", "Where is Rome?", "Italy")]
GERMAN = {"Who wrote it?": "Wer hat es geschrieben?", "Where is Rome?": "Wo liegt Rom?"}
DATA = Data("made", {}, {"x": {"test": ROWS}}, {"x": "forget"})


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_hidden_in_one_language_comes_back_in_another_and_what_is_gone_does_not(kept, tiny_folder, tmp_path):
    path = tmp_path / "german.jsonl"
    path.write_text("".join(json.dumps({"question": q, "translation": t}) + "\n" for q, t in GERMAN.items()))
    said = dict.fromkeys(GERMAN, "no") | {GERMAN[row.prompt]: row.response if kept else "no" for row in ROWS}
    attack = Translate(str(path))
    assert before_and_under(attack, taught(tiny_folder, said, tmp_path), DATA) == (0, 1 if kept else 0)


def test_without_a_file_there_is_no_translation():
    with pytest.raises(UserError, match="attacks.it.file names no file"):
        Translate().bind("it", Scene(DATA, questions=ROWS))
