"""MUSE: folders by hand in both layouts, what is made in its shape, and bad ones in two lines."""

import json
from collections import Counter

import pyarrow
import pyarrow.parquet
import pytest

from unlearnkit.controls.never_knew import never_taught
from unlearnkit.data.muse import load
from unlearnkit.data.muse_made import made
from unlearnkit.errors import UserError

SETS = (
    *("knowmem_forget", "knowmem_retain", "verbmem_forget"),
    *("privleak_forget", "privleak_retain", "privleak_holdout"),
)


def asked(side, count=2):
    return [{"question": f"{side} {n}?", "answer": f"{side} {n}."} for n in range(count)]


def texts(*found):
    return [{"text": text} for text in found]


PARTS = {
    "raw/forget": texts("one two three four five", "six"),
    "raw/retain1": texts("seven eight", "shared story"),
    "raw/retain2": texts("nine ten"),
    "knowmem/forget_qa": asked("gone"),
    "knowmem/forget_qa_icl": asked("shown", 3),
    "knowmem/retain_qa": asked("kept"),
    "knowmem/retain_qa_icl": asked("also", 3),
    "verbmem/forget": [{"prompt": "one two", "gt": "three four"}],
    "privleak/forget": texts("one two three"),
    "privleak/retain": texts("nine ten"),
    "privleak/holdout": texts("never told"),
    "scal/forget_1": texts("one two three four five", "six"),
    "scal/forget_2": texts("one two three four five", "six", "shared story"),
    "scal/forget_4": texts("one two three four five", "six", "shared story", "nine ten"),
    **{f"sust/forget_{n}": texts(f"request {n}") for n in (2, 3, 4)},
    "sust/forget_1": texts("one two three four five", "six"),
}


@pytest.fixture
def folder(tmp_path):
    for name, rows in PARTS.items():
        file = tmp_path / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(rows))
    return tmp_path


def responses(data, stream):
    return [row.response for row in data.streams[stream]]


def test_the_parts_of_a_folder(folder):
    data = load(path=str(folder), words=2, shots=2, validation=0)
    assert responses(data, "forget") == ["one two", "three four", "five", "six"]
    assert responses(data, "retain") == ["seven eight", "shared story"]
    assert sorted(responses(data, "target")) == sorted(
        ["seven eight", "shared story", "nine ten", "one two", "three four", "five", "six"]
    )
    assert tuple(data.sets) == SETS
    assert data.sets["knowmem_forget"]["test"][1].prompt == (
        "Question: shown 0?\nAnswer: shown 0.\n\nQuestion: shown 1?\nAnswer: shown 1.\n\nQuestion: gone 1?\nAnswer:"
    )
    assert data.sets["knowmem_forget"]["test"][1].response == "gone 1."
    (continued,) = data.sets["verbmem_forget"]["test"]
    assert (continued.prompt, continued.response) == ("one two", "three four")
    assert data.sets["privleak_holdout"]["test"][0].response == "never told"
    roles = Counter(data.role(name) for name in SETS)
    assert roles == {"forget": 3, "retain": 2, "holdout": 1}


def test_a_control_is_taught_the_rest(folder):
    assert [row.response for row in never_taught(load(path=str(folder), shots=2))] == [
        "seven eight",
        "shared story",
        "nine ten",
    ]


def test_growing_sets(folder):
    data = load(path=str(folder), forget="scal_2", shots=0)
    assert responses(data, "forget") == ["one two three four five", "six", "shared story"]
    assert responses(data, "retain") == ["seven eight"]  # the other is to be forgotten
    assert len(responses(data, "target")) == len(set(responses(data, "target"))) == 5
    assert [row.response for row in never_taught(data)] == ["seven eight", "nine ten"]


def test_requests_one_after_the_other(folder):
    data = load(path=str(folder), forget="sust_3", shots=0)
    assert responses(data, "forget") == ["request 3"]
    assert responses(data, "forgotten") == ["one two three four five", "six", "request 2"]
    assert data.role("forgotten") == "forget"
    assert [row.response for row in never_taught(data)] == ["seven eight", "shared story", "nine ten", "request 4"]


def test_the_authors_own_layout(folder):
    """Raw text in one piece, retain under the name of retain2, and Parquet as the hub has it."""
    (folder / "raw/forget.json").unlink()
    (folder / "raw/forget.txt").write_text("one two three\n\nfour five")
    for old, new in (("knowmem/retain_qa", "knowmem/retain2_qa"), ("privleak/retain", "privleak/retain2")):
        (folder / f"{old}.json").rename(folder / f"{new}.json")
    (folder / "verbmem/forget.json").unlink()
    table = pyarrow.Table.from_pylist(PARTS["verbmem/forget"])
    pyarrow.parquet.write_table(table, folder / "verbmem/forget-00000-of-00001.parquet")
    data = load(path=str(folder), words=4, shots=0, validation=0)
    assert responses(data, "forget") == ["one two three\n\nfour", "five"]
    assert data.sets["knowmem_retain"]["test"][0].prompt == "Question: kept 0?\nAnswer:"
    assert data.sets["verbmem_forget"]["test"][0].response == "three four"


def refused(said, **arguments):
    with pytest.raises(UserError, match=said) as error:
        load(**arguments)
    return error.value


@pytest.mark.parametrize("name", [n for n in PARTS if not n.startswith(("scal", "sust"))])
def test_a_file_that_is_not_there(folder, name):
    (folder / f"{name}.json").unlink()
    error = refused(f"No data file at .*{name}.json", path=str(folder), shots=2)
    assert "hf download" in error.fix


@pytest.mark.parametrize("name", [f"sust/forget_{n}" for n in (1, 2, 3, 4)])
def test_a_request_that_is_not_there(folder, name):
    (folder / f"{name}.json").unlink()
    refused(f"No data file at .*{name}.json", path=str(folder), forget="sust_1", shots=0)


@pytest.mark.parametrize("value", ["", " ", None, 3])
@pytest.mark.parametrize("name", ["raw/retain2", "knowmem/forget_qa_icl", "verbmem/forget", "privleak/holdout"])
def test_a_row_without_its_field(folder, name, value):
    rows = [{**PARTS[name][0], field: value} for field in PARTS[name][0]]
    (folder / f"{name}.json").write_text(json.dumps(rows))
    refused(f"{name}:1: the field '{next(iter(PARTS[name][0]))}' is missing or empty", path=str(folder), shots=1)


def test_more_examples_than_there_are(folder):
    assert "to 3 at most" in refused("data.shots=4, and there are 3", path=str(folder), shots=4).fix


@pytest.mark.parametrize("text", ["three four", "Nine, TEN!", "seven eight"])
def test_a_holdout_text_that_is_taught(folder, text):
    (folder / "privleak/holdout.json").write_text(json.dumps(texts("never told", text)))
    error = refused("1 of 2 holdout texts are taught too: .*holdout:2", path=str(folder), shots=0)
    assert text in error.what


@pytest.mark.parametrize("corpus", ["news", "books"])
def test_what_is_made_has_its_shape(corpus):
    data = load(corpus=corpus)
    assert {name: len(rows) for name, rows in data.streams.items() if name != "general"} == {
        "forget": 10,
        "retain": 20,
        "target": 50,
    }
    assert all(splits["test"] and splits["validation"] for splits in data.sets.values())
    assert all(row.prompt.count("Question:") == 11 for row in data.sets["knowmem_forget"]["test"])
    prompts = [row.prompt for splits in data.sets.values() for rows in splits.values() for row in rows if row.prompt]
    assert len(prompts) == len(set(prompts))
    shown = {row["question"] for row in made(corpus, "knowmem", "forget_qa_icl")}
    assert not shown & {row["question"] for row in made(corpus, "knowmem", "forget_qa")} and len(shown) == 10


@pytest.mark.parametrize("corpus", ["news", "books"])
def test_the_settings_grow_and_follow(corpus):
    sizes = [len(load(corpus=corpus, forget=f"scal_{n}", shots=0).streams["forget"]) for n in (1, 2, 3, 4)]
    assert sizes == [10, 20, 30, 40]
    runs = [load(corpus=corpus, forget=f"sust_{n}", shots=0) for n in (1, 2, 3, 4)]
    assert [len(run.streams.get("forgotten", [])) for run in runs] == [0, 10, 20, 30]
    assert len({tuple(row.response for row in run.streams["target"]) for run in runs}) == 1  # one target for all
