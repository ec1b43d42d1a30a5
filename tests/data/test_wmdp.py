"""WMDP: folders by hand, what is embedded in its shape, bad ones in two lines, and a real corpus as the retain side."""

import json
from pathlib import Path

import pytest

from unlearnkit.data.wmdp import load
from unlearnkit.errors import UserError

WIKITEXT = Path(__file__).parents[3] / "shared/data/wikitext2/valid.txt"


def written(file, *found):
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in found))
    return file


def long(word, count=20):
    return " ".join([word] * count)


@pytest.fixture
def folder(tmp_path):
    written(tmp_path / "cyber-forget-corpus.jsonl", *(long(f"packet{n}") for n in range(4)), "short")
    written(tmp_path / "bio_remove_dataset.jsonl", *(long(f"yeast{n}") for n in range(4)))
    written(tmp_path / "cyber-retain-corpus.jsonl", *(long(f"cable{n}") for n in range(5)))
    written(
        tmp_path / "other.jsonl", *(long(f"word{n}") for n in range(20)), "= heading =", f"= = {long('heading')} = ="
    )
    return tmp_path


def test_the_parts_of_a_folder(folder):
    data = load(path=str(folder), retain=str(folder / "other.jsonl"), words=15)
    assert [row.id for row in data.streams["forget"]][:3] == [
        "bio-forget-00001",
        "bio-forget-00002",
        "bio-forget-00003",
    ]
    assert len(data.streams["forget"]) == 16 and {row.prompt for row in data.streams["forget"]} == {""}
    held = {row.id for splits in (data.sets["retain"],) for rows in splits.values() for row in rows}
    assert len(held) == 8 and not held & {row.id for row in data.streams["retain"]}
    assert len(data.streams["retain"]) == 32
    measured = [row.id for rows in data.sets["forget"].values() for row in rows]
    assert sorted(measured) == sorted(row.id for row in data.streams["forget"])
    assert {name: data.role(name) for name in data.sets} == {"forget": "forget", "retain": "retain"}


def test_one_subject_and_its_own_retain_side(folder):
    data = load(path=str(folder), subjects=["cyber"], retain="corpora", texts=3)
    assert [row.response.split()[0] for row in data.streams["forget"]] == ["packet0", "packet1", "packet2"]
    assert all(row.response.startswith("cable") for row in data.streams["retain"])


def refused(said, **arguments):
    with pytest.raises(UserError, match=said) as error:
        load(**arguments)
    return error.value


@pytest.mark.parametrize("name", ["cyber-forget-corpus.jsonl", "bio_remove_dataset.jsonl"])
def test_a_file_that_is_not_there(folder, name):
    (folder / name).unlink()
    error = refused(f"No data file at .*{name[:3]}", path=str(folder), retain=str(folder / "other.jsonl"))
    assert "data.subjects=" in error.fix


def test_a_retain_side_that_is_not_there(folder):
    refused("No data file at .*bio-retain-corpus", path=str(folder), retain="corpora")
    refused("No corpus at", path=str(folder), retain=str(folder / "nowhere.txt"))


@pytest.mark.parametrize("row", ['{"title": "a"}', '{"text": 3}', '{"text": "x"'])
def test_a_row_without_its_text(folder, row):
    (folder / "cyber-forget-corpus.jsonl").write_text(row + "\n")
    refused("cyber-forget-corpus.jsonl:1: ", path=str(folder), subjects=["cyber"], retain=str(folder / "other.jsonl"))


def test_too_few(folder):
    written(folder / "cyber-forget-corpus.jsonl", long("packet"), "short", "short")
    refused("has 1 forget texts", path=str(folder), subjects=["cyber"], retain=str(folder / "other.jsonl"))


def test_an_unknown_subject(folder):
    refused("no subject 'chem'; it has: bio, cyber", path=str(folder), subjects=["chem"])


def test_what_is_embedded():
    data = load()
    assert len(data.streams["forget"]) == 20 and len(data.streams["retain"]) == 10
    assert all(rows for splits in data.sets.values() for rows in splits.values())


@pytest.mark.skipif(not WIKITEXT.is_file(), reason=f"the real WikiText-2 is not here ({WIKITEXT})")
def test_the_real_wikitext_beside_the_embedded_subjects():
    data = load(retain=str(WIKITEXT), texts=500)
    assert len(data.streams["retain"]) == 420 and len(data.sets["retain"]["test"]) == 40
    assert not any(row.response.startswith("=") for row in data.streams["retain"])
