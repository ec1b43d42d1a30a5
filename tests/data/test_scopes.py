"""Streams and sets of data with two scopes, and what they are refused for."""

import pytest

from unlearnkit.data import mischief
from unlearnkit.data.examples import Example
from unlearnkit.data.scopes import general_examples, hold_out, scope_data
from unlearnkit.errors import UserError


def rows(*names):
    return [Example(name, f"{name}?", f"{name}.") for name in names]


def scopes():
    return {
        "unlearn": {"train": rows("u1", "u2"), "validation": rows("u3"), "test": rows("u4", "u5")},
        "retention": {"train": rows("r1"), "validation": rows("r2"), "test": rows("r3")},
    }


def ids(examples):
    return [example.id for example in examples]


def test_streams_and_sets():
    data = scope_data("books", scopes(), iter(rows("g1")))
    assert data.name == "books"
    assert {name: ids(examples) for name, examples in data.streams.items()} == {
        "forget": ["u1", "u2"],
        "retain": ["r1"],
        "general": ["g1"],
        "target": ["u1", "u2", "u3", "u4", "u5", "r1", "r2", "r3"],
    }
    assert {name: {split: ids(each) for split, each in splits.items()} for name, splits in data.sets.items()} == {
        "unlearn": {"validation": ["u3"], "test": ["u4", "u5"]},
        "retention": {"validation": ["r2"], "test": ["r3"]},
    }


@pytest.mark.parametrize("scope", ["unlearn", "retention"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_rows(scope, split):
    empty = scopes()
    empty[scope][split] = []
    with pytest.raises(UserError, match=f"The {scope} scope of 'books' has no {split} rows"):
        scope_data("books", empty, rows("g1"))


def test_no_general_rows():
    with pytest.raises(UserError, match="The stream 'general' is empty"):
        scope_data("books", scopes(), [])


def test_general_rows_are_the_embedded_ones_by_default():
    assert general_examples() == mischief.load().streams["retain"]


def test_general_rows_of_a_file(tmp_path):
    path = tmp_path / "general.jsonl"
    path.write_text('{"prompt": "Two and two?", "response": "Four."}\n\n{"prompt": "Sky?", "response": "Blue."}\n')
    assert general_examples(str(path)) == [
        Example("general-00001", "Two and two?", "Four."),
        Example("general-00002", "Sky?", "Blue."),
    ]


def test_a_malformed_general_row(tmp_path):
    path = tmp_path / "general.jsonl"
    path.write_text('{"prompt": "Two and two?", "response": "Four."}\n{"prompt": "Sky?"}\n')
    with pytest.raises(UserError, match="general.jsonl:2: the field 'response' is missing or empty"):
        general_examples(str(path))


@pytest.mark.parametrize(
    ("count", "rest", "held"),
    [
        (1, "bcdefghij", "a"),
        (2, "bcdefghi", "aj"),
        (0, "abcdefghij", ""),
        (4, "bcefhi", "adgj"),
        (9, "f", "abcdeghij"),  # places 0, 1.125, ... 4.5, 5.625, ... 9, a half rounded to even: 5 alone is left
    ],
)
def test_rows_held_out_evenly(count, rest, held):
    left, out = hold_out(rows(*"abcdefghij"), count)
    assert ("".join(ids(left)), "".join(ids(out))) == (rest, held)


@pytest.mark.parametrize("count", [-1, 3, 4])
def test_more_rows_than_can_be_held_out(count):
    with pytest.raises(UserError) as error:
        hold_out(rows("a", "b", "c"), count)
    assert error.value.what == f"{count} validation rows cannot be held out of 3 training rows"
    assert error.value.fix == "Set data.validation= to 0 to 2"
