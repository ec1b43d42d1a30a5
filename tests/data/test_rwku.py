"""RWKU: people's folders by hand, bad ones in two lines, what is embedded in its shape, and the real files."""

import json
from pathlib import Path

import pytest

from unlearnkit.data.rwku import load
from unlearnkit.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/rwku"
PARTS = ("forget_level1", "forget_level2", "forget_level3", "neighbor_level1", "neighbor_level2")
SETS = (*PARTS, "forget_membership", "retain_membership")


def questions(count, level):
    return [{"query": f"{level}{n}?", "answer": f" {n}.", "level": level, "type": "cloze"} for n in range(count)]


def person(folder, count=5):
    """A target's files."""
    folder.mkdir()
    texts = {"passage": ["One two three.", "Four."], "forget_mia": ["In."] * count, "retain_mia": ["Out."] * count}
    rows = {name: [{"text": text} for text in own] for name, own in texts.items()}
    rows |= {part: questions(count, part[-1]) for part in PARTS}
    for name, own in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(own, indent=4))
    return folder


@pytest.fixture
def people(tmp_path):
    for name in ("1_Ann_Ash", "2_Bob_Birch"):
        person(tmp_path / name)
    return tmp_path


def test_the_parts_of_a_person(people):
    data = load(path=str(people), targets=["Bob Birch"], words=2)
    assert [(row.prompt, row.response) for row in data.streams["forget"]] == [
        ("", "One two"),
        ("", "three."),
        ("", "Four."),
    ]
    assert data.streams["forget"][0].id == "2_Bob_Birch-passage-0001-1"
    assert {row.id[:9] for row in data.streams["retain"]} == {"1_Ann_Ash"} and data.streams["general"]
    assert tuple(data.sets) == SETS
    asked = data.sets["forget_level3"]["test"][0]
    assert (asked.prompt, asked.response, asked.category) == ("31?", "1.", "cloze")  # the first is for validation
    assert data.sets["retain_membership"]["test"][0].prompt == ""
    roles = {name: data.role(name) for name in SETS}
    assert {name for name, role in roles.items() if role == "forget"} == {n for n in SETS if n.startswith("forget")}
    assert {role for name, role in roles.items() if not name.startswith("forget")} == {"retain"}


@pytest.mark.parametrize(("share", "held"), [(0, 0), (0.2, 1), (0.4, 2), (1, 4)])
def test_a_share_is_held_out(people, share, held):
    for splits in load(path=str(people), validation=share).sets.values():
        assert (len(splits["validation"]), len(splits["test"])) == (held, 5 - held)
        assert not {row.id for row in splits["validation"]} & {row.id for row in splits["test"]}


@pytest.mark.parametrize("targets", [["Ann_Ash"], ["1_Ann_Ash"], ["Ann Ash"], None])
def test_who_is_to_be_forgotten(people, targets):
    assert {row.id[:9] for row in load(path=str(people), targets=targets).streams["forget"]} == {"1_Ann_Ash"}


def test_several_and_all(people):
    data = load(path=str(people), targets=["Ann_Ash", "Bob_Birch"])
    assert "retain" not in data.streams and len(data.sets["forget_level1"]["test"]) == 8


def test_one_persons_folder(people):
    data = load(path=str(people / "2_Bob_Birch"))
    assert "retain" not in data.streams and data.streams["forget"][0].id.startswith("2_Bob_Birch")


def refused(said, **arguments):
    with pytest.raises(UserError, match=said) as error:
        load(**arguments)
    return error.value


def test_nobody_of_that_name(people):
    error = refused("Nobody is called 'Ann Ahs'.*Did you mean", path=str(people), targets=["Ann Ahs"])
    assert "Ann_Ash, Bob_Birch" in error.fix


def test_no_person_at_all(tmp_path):
    refused("holds no person's folder", path=str(tmp_path))


@pytest.mark.parametrize("part", [*PARTS, "forget_mia", "retain_mia"])
def test_a_file_that_is_not_there(people, part):
    (people / "1_Ann_Ash" / f"{part}.json").unlink()
    refused(f"No data file at .*{part}.json", path=str(people))


@pytest.mark.parametrize("part", [*PARTS, "forget_mia", "retain_mia", "passage"])
@pytest.mark.parametrize("value", ["", None, 3])
def test_a_row_without_its_field(people, part, value):
    path = people / "1_Ann_Ash" / f"{part}.json"
    rows = json.loads(path.read_text())
    field = "text" if "text" in rows[0] else "answer"
    path.write_text(json.dumps([{**rows[0], field: value}, *rows[1:]]))
    refused(f"{part}.json:1: the field '{field}' is missing or empty", path=str(people))


def test_embedded():
    data = load()
    assert {row.id[:8] for row in data.streams["forget"]} == {"1_Galile"} and data.streams["retain"]
    assert all(splits["test"] and splits["validation"] for splits in data.sets.values())


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real RWKU is not here ({REAL})")
def test_the_real_one():
    data = load(path=str(REAL), targets=["Aristotle"], validation=0)
    there = {part: len(json.loads((REAL / f"156_Aristotle/{part}.json").read_text())) for part in PARTS}
    assert {part: len(data.sets[part]["test"]) for part in PARTS} == there
    assert {row.category for row in data.sets["forget_level1"]["test"]} == {"cloze"}
