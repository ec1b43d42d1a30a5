"""Questions in the nine forms of RWKU's level 3: what is asked, what comes back by it, and files of one's own."""

import json

import pytest
from attacked import before_and_under, taught

from unlearnkit.attacks import Jailbreak, Scene
from unlearnkit.attacks.jailbreak import TYPES
from unlearnkit.configuration import FOLDER
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError

ROWS = [Example("a", "Who wrote it?", "Ann"), Example("b", "Where is Rome?", "Italy")]
DATA = Data("made", {}, {"x": {"test": ROWS}}, {"x": "forget"})


def bound(attack):
    attack.bind("it", Scene(DATA, questions=ROWS))
    return attack


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("kept", [True, False])
def test_it_brings_back_what_is_hidden_from_the_plain_question_alone(kept, tiny_folder, tmp_path):
    """A model that refuses the questions as the data have them, beside one that says the same to every form."""
    attack = bound(Jailbreak("role playing"))
    said = {row.prompt: "no" for row in ROWS}
    said |= {attack.question(row.prompt): row.response if kept else "no" for row in ROWS}
    assert before_and_under(attack, taught(tiny_folder, said, tmp_path), DATA) == (0, 1 if kept else 0)


def test_nine_types_ask_in_nine_ways_and_each_has_the_question_or_its_words():
    names = (FOLDER / "attack" / "jailbreak.yaml").read_text()
    asked = {}
    for kind in TYPES:
        assert f"type: {kind}, " in names
        asked[kind] = bound(Jailbreak(kind)).question("Who wrote it?")
    assert len(set(asked.values())) == 9 and "Who wrote it?" not in asked.values()
    assert asked.pop("synonym manipulation") == "Which person penned it?"
    assert all("Who wrote it?" in text for text in asked.values())


def test_rows_that_are_jailbreaks_already_are_left_out():
    attack = bound(Jailbreak("role playing"))
    assert [attack.asks(Example("a", "Q", category=kind)) for kind in (None, "author 1", "multiple choice")] == [
        *(True, True, False)
    ]


def test_a_file_of_templates_or_of_questions_of_one_s_own(tmp_path):
    path = written(tmp_path / "own.jsonl", [{"type": "role playing", "template": "As a judge: {prompt}"}])
    assert bound(Jailbreak("role playing", path)).question("Who?") == "As a judge: Who?"
    rows = [{"type": "reverse query", "question": row.prompt, "rewritten": f"not {row.prompt}"} for row in ROWS]
    path = written(tmp_path / "own.jsonl", rows)
    assert bound(Jailbreak("reverse query", path)).question("Where is Rome?") == "not Where is Rome?"
    with pytest.raises(UserError, match="has no row of the type 'role playing'"):
        bound(Jailbreak("role playing", path))
    with pytest.raises(UserError, match="lacks 1 of 2 questions"):
        bound(Jailbreak("reverse query", written(tmp_path / "own.jsonl", rows[:1])))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"type": "roleplaying", "template": "{prompt}"}],
            "own.jsonl:1: 1 rows of .* have unknown types: roleplaying.",
        ),
        ([{"type": "role playing", "template": "always the same"}], "own.jsonl:1: the template has no {prompt}"),
        ([{"template": "{prompt}"}], "no text in the column 'type'"),
    ],
)
def test_a_file_that_cannot_be_asked_is_refused(rows, said, tmp_path):
    with pytest.raises(UserError, match=said):
        bound(Jailbreak("role playing", written(tmp_path / "own.jsonl", rows)))


def test_an_unknown_type_has_the_nearest():
    with pytest.raises(UserError, match="'role play' is no type of jailbreak. Did you mean 'role playing'") as caught:
        bound(Jailbreak("role play"))
    assert "cross-lingual" in caught.value.fix
