"""Questions in other words, in other forms and in another language: which are asked, and what is missing."""

import json

import pytest

from unlearnkit.attacks import Jailbreak, Paraphrase, Scene, Translate
from unlearnkit.attacks.jailbreak import TYPES
from unlearnkit.configuration import FOLDER
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.measures import RougeL
from unlearnkit.runs.moments import bind_attacks

ROWS = [Example("a", "Who wrote it?", "Ann"), Example("b", "Where is Rome?", "Italy")]
REWORDED = {"Who wrote it?": "Whose work is it?", "Where is Rome?": "Rome lies where?", "Why?": "For what reason?"}
DATA = Data("made", {}, {"x": {"test": ROWS}}, {"x": "forget"}, REWORDED)


def bound(attack, data=DATA):
    attack.bind("it", Scene(data, asked=ROWS))
    return attack


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_data_s_own_paraphrases_are_asked_and_what_has_none_as_it_is():
    attack = bound(Paraphrase())
    assert [attack.question(row.prompt) for row in ROWS] == ["Whose work is it?", "Rome lies where?"]
    assert attack.question("Why?") == "For what reason?" and attack.question("How?") == "How?"


@pytest.mark.parametrize(("kind", "column"), [(Paraphrase, "paraphrase"), (Translate, "translation")])
def test_a_file_of_questions_is_asked_and_one_that_lacks_some_is_refused(kind, column, tmp_path):
    rows = [{"question": row.prompt, column: f"{n}?"} for n, row in enumerate(ROWS)]
    attack = bound(kind(written(tmp_path / "own.jsonl", rows)))
    assert [attack.question(row.prompt) for row in ROWS] == ["0?", "1?"]
    with pytest.raises(UserError, match="lacks 1 of 2 questions of the forget side, first: Where is Rome"):
        bound(kind(written(tmp_path / "own.jsonl", rows[:1])))
    with pytest.raises(UserError, match=f"own.jsonl:1: no text in the column '{column}'; it has: question"):
        bound(kind(written(tmp_path / "own.jsonl", [{"question": "Who?"}])))


def test_without_a_file_there_is_no_translation_and_no_paraphrase_of_data_that_have_none():
    with pytest.raises(UserError, match="attacks.it.file names no file"):
        bound(Translate())
    with pytest.raises(UserError, match="'made' has none"):
        bound(Paraphrase(), Data("made", {}))


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


def test_what_is_hidden_by_words_comes_back_in_other_words_and_what_is_gone_does_not(full_model, monkeypatch):
    """A model that refuses a question by its words alone, beside one that knows nothing."""

    def knows(question):
        return "Ann" if question == "Whose work is it?" else "I do not know."

    for answers, expected in ((knows, 0.5), (lambda _: "I do not know.", 0.0)):

        def generate(model, records, *_, answers=answers):
            for record in records:
                record.response, record.tokens, record.ended = answers(record.prompt), 1, True

        monkeypatch.setattr("unlearnkit.records.generate.generate", generate)
        evaluations = Evaluations({"own": Evaluation({"rouge_l": RougeL()}, {"forget": ["rouge_l"]})}, DATA, 0)
        attack = Paraphrase()
        bind_attacks({"paraphrase": attack}, [], Scene(DATA), evaluations)
        before = evaluations.measure(full_model, Point("test", said=str(expected)), {"own": []})
        records = attack.measure(full_model, evaluations, "it", before)
        numbers = [evaluations.compute(each)["own"]["x"]["rouge_l"]["value"] for each in (before, records)]
        assert numbers == [0.0, expected]
        assert [record.id for record in records["own"]] == ["a", "b"]
