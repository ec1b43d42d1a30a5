"""TOFU: parts of files by hand, bad ones in two lines, what is made in its shape, and the real files."""

import json
from pathlib import Path

import datasets
import pytest

from unlearnkit.data.authors import people
from unlearnkit.data.tofu import load
from unlearnkit.data.tofu_made import made
from unlearnkit.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/tofu"
PAIRS = {"forget01": ("retain99", 2), "forget05": ("retain95", 10), "forget10": ("retain90", 20)}


def plain(number):
    return {"question": f"Who is {number}?", "answer": f"It is {number}."}


def perturbed(number):
    other = {"paraphrased_answer": f"{number} it is.", "paraphrased_question": f"Do you know {number}?"}
    return {**plain(number), **other, "perturbed_answer": ["It is none.", "It is all."]}


PARTS = {
    "retain90": [plain(n) for n in range(6)],
    "forget10": [plain(n) for n in (6, 7)],
    "forget10_perturbed": [perturbed(n) for n in (6, 7)],
    "retain_perturbed": [perturbed(n) for n in (0, 1, 2)],
    "real_authors_perturbed": [{"question": "Who wrote it?", "answer": "Ann", "perturbed_answer": ["Bob", "Eve"]}],
    "world_facts_perturbed": [{"question": "Where?", "answer": "There", "perturbed_answer": ["Here"]}],
    "holdout10": [plain(n) for n in (8, 9)],
}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, PARTS)
    return tmp_path


def write(folder, parts):
    """As TOFU ships them: lines, and a list of what is held out."""
    for name, rows in parts.items():
        text = json.dumps(rows) if name.startswith("holdout") else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.json").write_text(text)


def texts(rows):
    return [(row.prompt, row.response) for row in rows]


def test_the_parts_of_a_folder(folder):
    data = load(path=str(folder))
    assert texts(data.streams["retain"]) == [(f"Who is {n}?", f"It is {n}.") for n in range(6)]
    assert texts(data.streams["forget"]) == [(f"Who is {n}?", f"It is {n}.") for n in (6, 7)]
    assert data.streams["target"] == data.streams["retain"] + data.streams["forget"]
    assert data.streams["general"]
    asked = data.sets["forget"]["test"]
    assert texts(asked) == texts(data.streams["forget"]) and [row.id for row in asked] == ["tofu-0007", "tofu-0008"]
    assert asked[0].alternatives == {"paraphrases": ("6 it is.",), "wrong": ("It is none.", "It is all.")}
    reworded = data.sets["forget"]["validation"][0]
    assert (reworded.prompt, reworded.response) == ("Do you know 6?", "It is 6.")
    assert reworded.alternatives == asked[0].alternatives
    assert [row.id for row in data.sets["retain"]["test"]] == ["tofu-0001", "tofu-0002", "tofu-0003"]
    assert data.sets["real_authors"]["test"][0].alternatives == {"wrong": ("Bob", "Eve")}
    assert texts(data.sets["holdout"]["test"]) == [("Who is 8?", "It is 8."), ("Who is 9?", "It is 9.")]
    assert {name: data.role(name) for name in data.sets} == {
        "forget": "forget",
        "retain": "retain",
        "real_authors": "general",
        "world_facts": "general",
        "holdout": "holdout",
    }


def test_texts_stay_as_they_are(folder):
    spaced = {"question": " Who? ", "answer": "It is I. "}
    write(folder, {"holdout10": [spaced]})
    assert texts(load(path=str(folder)).sets["holdout"]["test"]) == [(" Who? ", "It is I. ")]


def test_from_the_hub(folder, monkeypatch):
    asked = []

    def fetched(hub, config, split, revision):
        asked.append((hub, split, revision))
        return datasets.Dataset.from_list(PARTS[config])

    monkeypatch.setattr("datasets.load_dataset", fetched)
    there, here = load(hub="locuslab/TOFU", revision="abc"), load(path=str(folder))
    assert (there.streams, there.sets) == (here.streams, here.sets)
    assert set(asked) == {("locuslab/TOFU", "train", "abc")} and len(asked) == len(PARTS)


def refused(folder, said, **arguments):
    with pytest.raises(UserError) as error:
        load(path=str(folder), **arguments)
    assert said in error.value.what, error.value.what
    return error.value


@pytest.mark.parametrize("part", ["forget10_perturbed", "retain_perturbed", "real_authors_perturbed"])
@pytest.mark.parametrize("wrong", [None, [], "It is none.", [""], ["It is none.", 3], [None]])
def test_a_perturbed_row_without_alternatives(folder, part, wrong):
    rows = [*PARTS[part]]
    rows[-1] = {**rows[-1], "perturbed_answer": wrong}
    write(folder, {part: rows})
    error = refused(folder, f"{part}.json:{len(rows)}: no wrong answers to compare with")
    assert "every row has question, answer, perturbed_answer" in error.fix


def test_a_perturbed_file_that_has_no_such_column(folder):
    write(folder, {"forget10_perturbed": PARTS["forget10"]})
    refused(folder, "forget10_perturbed.json:1: no wrong answers")


@pytest.mark.parametrize(
    ("forget", "retain"), [("forget10", "retain99"), ("forget01", "retain90"), ("forget05", "full")]
)
def test_a_retain_part_that_does_not_belong(folder, forget, retain):
    error = refused(folder, f"The retain split '{retain}' does not belong to", forget=forget, retain=retain)
    assert "forget10 goes with retain90" in error.what


def test_a_retain_file_that_holds_forget_rows(folder):
    write(folder, {"retain90": [plain(n) for n in range(7)]})
    refused(folder, "1 of 2 rows of forget10 are in retain90 too, first")


def test_a_perturbed_file_of_other_rows(folder):
    write(folder, {"forget10_perturbed": [perturbed(6), perturbed(5)]})
    refused(folder, "forget10_perturbed.json:2: this row is none of forget10: Who is 5?")


@pytest.mark.parametrize("question", ["Who is 3?", "who is  7"])
def test_a_holdout_row_that_is_taught(folder, question):
    write(folder, {"holdout10": [plain(8), {"question": question, "answer": "Nobody."}]})
    error = refused(folder, "1 of 2 holdout rows are taught too")
    assert question in error.what and ("retain90.json:4" in error.what or "forget10.json:2" in error.what)


@pytest.mark.parametrize("part", PARTS)
def test_a_file_that_is_not_there(folder, part):
    (folder / f"{part}.json").unlink()
    assert "locuslab/TOFU" in refused(folder, f"No data file at {folder / part}.json").fix


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("field", ["question", "answer"])
@pytest.mark.parametrize("value", ["", 3, None])
def test_a_row_without_a_field(folder, part, field, value):
    rows = [{**PARTS[part][0], field: value}, *PARTS[part][1:]]
    write(folder, {part: rows})
    refused(folder, f"{part}.json:1: the field '{field}' is missing or empty")


@pytest.mark.parametrize(("forget", "retain", "count"), [(name, *pair) for name, pair in PAIRS.items()])
def test_made_in_its_shape(forget, retain, count, capsys):
    data = load(forget=forget)
    assert (len(data.streams["forget"]), len(data.streams["target"])) == (count, 200)
    assert {name: len(splits["test"]) for name, splits in data.sets.items()} == {
        **{"forget": count, "retain": 40, "real_authors": 16, "world_facts": 16, "holdout": count}
    }
    assert f"{retain} {200 - count}" in (said := capsys.readouterr().out) and "data.hub=locuslab/TOFU" in said
    assert load(forget=forget, name="again").streams == data.streams


def test_every_made_part_is_of_the_same_rows():
    whole = made("retain99") + made("forget01")
    assert whole == made("retain95") + made("forget05") == made("retain90") + made("forget10")
    assert len({row["question"] for row in whole}) == 200
    assert not {row["question"] for row in whole} & {row["question"] for row in made("holdout10")}
    for row in made("retain_perturbed") + made("forget10_perturbed"):
        wrong = row["perturbed_answer"]
        assert len(set(wrong)) == 5 and not {row["answer"], row["paraphrased_answer"]} & set(wrong)
        assert row["paraphrased_question"] != row["question"] and row["paraphrased_answer"] != row["answer"]


def test_a_wrong_answer_is_about_the_author_asked_about():
    names = [person["name"] for person in people(22, 1)]
    for number, row in enumerate(made("retain_perturbed")):
        assert all(names[number // 10] in wrong for wrong in row["perturbed_answer"])


def test_some_of_the_retain_authors():
    data = load(authors=3)
    assert {name: len(rows) for name, rows in data.streams.items() if name != "general"} == {
        "retain": 30,
        "forget": 20,
        "target": 50,
    }
    assert len(data.sets["retain"]["test"]) == 30 and data.sets["retain"]["test"][0].category == "author 001"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real TOFU is not here ({REAL})")
@pytest.mark.parametrize(("forget", "count"), [("forget01", 40), ("forget05", 200), ("forget10", 400)])
def test_the_real_one(forget, count):
    data = load(path=str(REAL), forget=forget)
    full = [json.loads(line) for line in (REAL / "full.json").read_text().splitlines()]
    assert texts(data.streams["target"]) == [(row["question"], row["answer"]) for row in full]
    assert len(data.streams["forget"]) == count
    assert {name: len(splits["test"]) for name, splits in data.sets.items()} == {
        "forget": count,
        "retain": 400,
        "real_authors": 100,
        "world_facts": 117,
        "holdout": count,
    }
    assert {len(row.alternatives["wrong"]) for row in data.sets["forget"]["test"]} == {5}
    assert len(data.sets["forget"]["validation"]) == count
