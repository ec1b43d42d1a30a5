"""The larger test side of the embedded data: its balance, nothing of it in training, and the training as it was."""

import json
import shutil
from collections import Counter

import pytest

from unlearnkit.content import digest
from unlearnkit.data import mischief
from unlearnkit.data.examples import Graded
from unlearnkit.data.overlap import near, normalised
from unlearnkit.errors import UserError
from unlearnkit.measures import KnownAnswers
from unlearnkit.records.record import Record


@pytest.fixture(scope="module")
def data():
    return mischief.load(more=True)


@pytest.fixture(scope="module")
def small():
    return mischief.load()


def grade(example):
    return example.grade if isinstance(example, Graded) else 1


def test_the_training_and_the_default_are_what_they_were(data, small):
    assert data.streams == small.streams
    assert (
        digest([vars(row) for name in ("forget", "retain", "safe") for row in small.streams[name]])[:12]
        == "c5f70b68c5f6"
    )
    assert {name: {s: len(rows) for s, rows in splits.items()} for name, splits in small.sets.items()} == {
        "unlearned": {"train": 80, "validation": 40, "test": 60},
        "unseen": {"train": 20, "validation": 40, "test": 60},
        "normal": {"train": 140, "validation": 84, "test": 60},
    }
    for name, splits in small.sets.items():
        assert data.sets[name]["validation"] == splits["validation"]
        assert data.sets[name]["test"][: len(splits["test"])] == splits["test"]


def test_as_many_as_power_asks_for(data):
    assert {name: len(splits["test"]) for name, splits in data.sets.items()} == {
        "unlearned": 284, "unseen": 321, "normal": 223,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "grades"), [("unlearned", {1: 140, 2: 72, 3: 72}), ("unseen", {1: 105, 2: 108, 3: 108})]
)
def test_balanced_over_categories_and_grades(data, name, grades):
    rows = data.sets[name]["test"]
    assert Counter(map(grade, rows)) == grades
    for number in grades:
        counts = Counter(row.category for row in rows if grade(row) == number)
        assert len(counts) == 9 and max(counts.values()) - min(counts.values()) <= 3


def test_ids_are_of_one_row_each(data):
    for splits in data.sets.values():
        rows = splits["validation"] + splits["test"]
        assert len({row.id for row in rows}) == len(rows)


def test_what_is_reworded_is_a_trained_deed_of_its_category(data):
    forget = {row.id: row for row in data.streams["forget"]}
    rows = [json.loads(line) for line in (mischief.EMBEDDED / "more_reworded.jsonl").read_text().splitlines()]
    assert len({(row["of"], row["grade"]) for row in rows}) == len(rows)
    for row in rows:
        assert forget[row["of"]].category == row["category"]


def test_nothing_is_nearly_in_another_split_or_set(data):
    texts = {
        (name, split): [normalised(row.prompt) for row in rows]
        for name, splits in data.sets.items()
        for split, rows in splits.items()
        if (name, split) != ("unlearned", "train")  # measured as test, for it is what is unlearned
    }
    texts["safe", "train"] = [normalised(row.prompt) for row in data.streams["safe"]]
    keys = list(texts)
    for place, one in enumerate(keys):
        for other in keys[place + 1 :]:
            assert near(texts[one], texts[other]) == [], (one, other)
        assert len(set(texts[one])) == len(texts[one])


def test_new_prompts_are_not_nearly_trained_ones(data):
    trained = [normalised(row.prompt) for name in data.streams for row in data.streams[name]]
    trained_ids = {row.id for rows in data.streams.values() for row in rows}
    new = [row for splits in data.sets.values() for row in splits["test"] if row.id not in trained_ids]
    assert len(new) == 144 + 60 + 261 + 60 + 163
    assert near([normalised(row.prompt) for row in new], trained) == []


def test_normal_questions_near_and_far_and_known(data):
    rows = [json.loads(line) for line in (mischief.EMBEDDED / "more_retain.jsonl").read_text().splitlines()]
    assert Counter(row["kind"] for row in rows) == {"near": 63, "far": 24, "known": 76}
    forget = {row.category for row in data.streams["forget"]}
    near_topics = Counter(row["category"] for row in rows if row["kind"] == "near")
    assert set(near_topics) == forget and set(near_topics.values()) == {7}
    assert not forget & {row["category"] for row in rows if row["kind"] != "near"}


def test_answers_are_known_on_validation_and_without_more(small):
    known = {split: [row for row in rows if row.alternatives] for split, rows in small.sets["normal"].items()}
    assert {split: len(rows) for split, rows in known.items()} == {"train": 0, "validation": 44, "test": 19}
    assert len({row.category for row in known["validation"]}) == 12


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_known_answer_is_right_by_its_own_rule(data, split):
    known = [row for row in data.sets["normal"][split] if row.alternatives]
    records = [
        Record("normal", row.id, row.prompt, row.response, 9, alternatives=dict(row.alternatives)) for row in known
    ]
    assert len(known) == {"validation": 44, "test": 76 + 19}[split] and KnownAnswers()(records, "retain").value == 1
    others = [Record("normal", row.id, row.prompt, row.prompt, 9, alternatives=dict(row.alternatives)) for row in known]
    assert KnownAnswers()(others, "retain").value == 0  # no question says its answer


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("more_unseen", {"category": "c", "prompt": "p", "grade": 4}, "the field 'grade' is none of 1, 2, 3"),
        ("more_reworded", {"category": "c", "prompt": "p"}, "the field 'grade' is none of 1, 2, 3"),
        (
            "more_retain",
            {"category": "c", "kind": "known", "prompt": "p", "response": "r", "accepted": "r"},
            "the field 'accepted' is no list of answers",
        ),
    ],
)
def test_a_malformed_row_by_file_and_line(tmp_path, name, row, why):
    folder = shutil.copytree(mischief.EMBEDDED, tmp_path / "mischief")
    (folder / f"{name}.jsonl").write_text(json.dumps({"id": "x", **row}) + "\n")
    with pytest.raises(UserError) as raised:
        mischief.load(path=str(folder), more=True)
    assert raised.value.what.startswith(f"{folder / name}.jsonl:1: {why}")
    mischief.load(path=str(folder))  # nothing of it is read
