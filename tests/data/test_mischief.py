"""What the embedded data promises, and what other files of its shape are refused for."""

import shutil
from itertools import combinations

import pytest

from unlearnkit.data import mischief
from unlearnkit.data.examples import read_jsonl
from unlearnkit.errors import UserError

FILES = {"forget": 150, "unseen": 60, "retain": 150, "safe": 60}  # rows at least


@pytest.fixture(scope="module")
def data():
    return mischief.load()


@pytest.fixture
def folder(tmp_path):
    """A copy of the embedded data, to be spoilt."""
    return shutil.copytree(mischief.EMBEDDED, tmp_path / "mischief")


def rows(name):
    return read_jsonl(mischief.EMBEDDED / f"{name}.jsonl", ["id", "prompt", "split", "category"])


def prompts(examples):
    return {example.prompt.strip().casefold() for example in examples}


@pytest.mark.parametrize(("name", "least"), FILES.items())
def test_rows_and_splits(name, least):
    found = rows(name)
    assert len(found) >= least
    assert {row["split"] for row in found} == {"train", "validation", "test"}
    assert len({row["id"] for row in found}) == len(found)
    assert len({row["prompt"].strip().casefold() for row in found}) == len(found)


@pytest.mark.parametrize("name", ["forget", "retain", "safe"])
def test_responses_are_there(name):
    assert all(row["response"].strip() for row in rows(name))


def test_forget_has_categories():
    assert len({row["category"] for row in rows("forget")}) >= 6


@pytest.mark.parametrize(("one", "other"), combinations(FILES, 2))
def test_no_prompt_in_two_files(one, other):
    assert not {r["prompt"].strip().casefold() for r in rows(one)} & {
        r["prompt"].strip().casefold() for r in rows(other)
    }


def test_streams(data):
    assert data.name == "mischief"
    assert set(data.streams) == {"forget", "retain", "safe"}
    assert sorted(e.id for e in data.streams["forget"]) == sorted(row["id"] for row in rows("forget"))
    for name in ("retain", "safe"):
        assert [e.id for e in data.streams[name]] == [row["id"] for row in rows(name) if row["split"] == "train"]


def test_sets(data):
    assert set(data.sets) == {"unlearned", "unseen", "normal"}
    for name, file in {"unlearned": "forget", "unseen": "unseen", "normal": "retain"}.items():
        for split in ("train", "validation", "test"):
            assert [e.id for e in data.sets[name][split]] == [r["id"] for r in rows(file) if r["split"] == split]


def test_normal_prompts_were_not_trained_on(data):
    trained = prompts(data.streams["retain"])
    for split in ("validation", "test"):
        assert not trained & prompts(data.sets["normal"][split])


def test_fields_are_read(data):
    first = rows("forget")[0]
    example = next(e for e in data.streams["forget"] if e.id == first["id"])
    assert (example.prompt, example.response, example.category) == (
        first["prompt"],
        first["response"],
        first["category"],
    )


def test_a_folder_of_ones_own(folder):
    (folder / "forget.jsonl").write_text('{"id": "x", "split": "test", "prompt": "p", "response": "r"}\n')
    data = mischief.load("mine", str(folder))
    assert data.name == "mine"
    assert [(e.id, e.response, e.category) for e in data.streams["forget"]] == [("x", "r", None)]


def test_a_malformed_row_by_file_and_line(folder):
    path = folder / "safe.jsonl"
    path.write_text(path.read_text() + '{"id": "x", "split": "test", "prompt": "p"}\n')
    line = len(rows("safe")) + 1
    with pytest.raises(UserError) as raised:
        mischief.load(path=str(folder))
    assert raised.value.what.startswith(f"{path}:{line}: the field 'response' is missing or empty")


def test_an_unknown_split(folder):
    (folder / "unseen.jsonl").write_text('{"id": "x", "split": "dev", "prompt": "p"}\n')
    with pytest.raises(UserError, match="has the split 'dev'; valid: train, validation, test"):
        mischief.load(path=str(folder))


def test_an_empty_forget_file(folder):
    (folder / "forget.jsonl").write_text("")
    with pytest.raises(UserError, match="forget.jsonl holds no rows"):
        mischief.load(path=str(folder))


def test_a_missing_file(folder):
    (folder / "retain.jsonl").unlink()
    with pytest.raises(UserError, match="No data file at .*retain.jsonl"):
        mischief.load(path=str(folder))
