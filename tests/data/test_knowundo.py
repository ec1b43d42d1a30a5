"""KnowUnDo from both shapes of files and from the hub; malformed files by name and row."""

import json
from pathlib import Path

import datasets
import pytest

from unlearnkit.data.knowundo import load
from unlearnkit.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/knowundo/privacy"
# (question, answer) by scope and part; the texts have spaces at their ends, as some rows of the real files do
ROWS = {
    "unlearn": {
        "train": [
            ("Where does Ann Ash live? ", "At 1 Elm Row."),
            ("Who is Ann Ash's mother?", " Eve."),
            ("Ann's email?", "a@b.example"),
        ],
        "val": [("Which street is Ann Ash's?", "Elm Row.")],
    },
    "retention": {
        "train": [("Who is Ann Ash?", "A poet."), ("Where was Ann Ash born?", "In Turku.")],
        "val": [("What did Ann Ash win?", "A “medal”.")],
    },
}


def raw(scope, part):
    return [{"text": text, "labels": labels} for text, labels in ROWS[scope][part]]


def split_files(folder):
    for scope, parts in ROWS.items():
        for part in parts:
            (folder / f"{scope}_{part}.json").write_text(json.dumps(raw(scope, part), indent=4))
    return folder


def single_files(folder):
    for scope, parts in ROWS.items():
        content = [{part: raw(scope, part) for part in parts}]
        (folder / f"{scope}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return folder


def small(folder, domain="privacy", **changes):
    return load("knowundo", domain, str(folder), **{"validation": 1, **changes})


def fields(examples):
    return [(example.id, example.prompt, example.response, example.category) for example in examples]


FORGET = [
    ("unlearn-train-0002", "Who is Ann Ash's mother?", "Eve.", "unlearn"),
    ("unlearn-train-0003", "Ann's email?", "a@b.example", "unlearn"),
]
RETAIN = [("retention-train-0002", "Where was Ann Ash born?", "In Turku.", "retention")]
UNLEARN = {
    "validation": [("unlearn-train-0001", "Where does Ann Ash live?", "At 1 Elm Row.", "unlearn")],
    "test": [("unlearn-val-0001", "Which street is Ann Ash's?", "Elm Row.", "unlearn")],
}
RETENTION = {
    "validation": [("retention-train-0001", "Who is Ann Ash?", "A poet.", "retention")],
    "test": [("retention-val-0001", "What did Ann Ash win?", "A “medal”.", "retention")],
}


def check(data):
    assert fields(data.streams["forget"]) == FORGET and fields(data.streams["retain"]) == RETAIN
    assert {split: fields(rows) for split, rows in data.sets["unlearn"].items()} == UNLEARN
    assert {split: fields(rows) for split, rows in data.sets["retention"].items()} == RETENTION
    target = [*FORGET, *UNLEARN["validation"], *UNLEARN["test"]]
    assert fields(data.streams["target"]) == [*target, *RETAIN, *RETENTION["validation"], *RETENTION["test"]]
    assert len(data.streams["general"]) > 10


@pytest.mark.parametrize("domain", ["privacy", "copyright"])
@pytest.mark.parametrize("written", [split_files, single_files])
def test_both_shapes_of_files(tmp_path, written, domain):
    check(small(written(tmp_path), domain))


def test_rows_spread_over_several_items_of_the_single_file(tmp_path):
    single_files(tmp_path)
    first, *others = raw("unlearn", "train")
    items = [{"train": [first], "val": []}, {"train": others, "val": raw("unlearn", "val")}]
    (tmp_path / "unlearn.json").write_text(json.dumps(items))
    check(small(tmp_path))


@pytest.mark.parametrize("domain", ["privacy", "copyright"])
def test_the_hub_s_rows(monkeypatch, domain):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_list([{part: raw(kwargs["split"], part) for part in ("train", "val")}])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    check(load("knowundo", domain, revision="v1", validation=1))
    assert {args for args, _ in asked} == {("zjunlp/KnowUnDo", domain)}
    assert {(kwargs["split"], kwargs["revision"]) for _, kwargs in asked} == {("unlearn", "v1"), ("retention", "v1")}


def test_no_hub(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(UserError) as error:
        load("knowundo", "privacy")
    assert error.value.what == "No data 'zjunlp/KnowUnDo' (unlearn): Couldn't reach the hub"
    assert error.value.fix == (
        "hf download --repo-type dataset zjunlp/KnowUnDo --local-dir FOLDER, then data.path=FOLDER/privacy"
    )


def test_a_malformed_hub_row(monkeypatch):
    rows = datasets.Dataset.from_list([{"train": [{"text": "Who?", "labels": " "}], "val": raw("unlearn", "val")}])
    monkeypatch.setattr("datasets.load_dataset", lambda *args, **kwargs: rows)
    with pytest.raises(UserError, match=r"KnowUnDo \(privacy, unlearn, train\):1: the field 'labels' is missing"):
        load("knowundo", "privacy")


@pytest.mark.parametrize("key", ["text", "labels"])
def test_a_missing_key_by_file_and_row(tmp_path, key):
    split_files(tmp_path)
    rows = raw("retention", "train")
    del rows[1][key]
    (tmp_path / "retention_train.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=rf"retention_train.json:2: the field '{key}' is missing or empty"):
        small(tmp_path)


def test_a_missing_key_in_the_single_file(tmp_path):
    single_files(tmp_path)
    rows = [{"text": "Who?", "labels": "Eve."}, {"text": "Who?"}]
    (tmp_path / "unlearn.json").write_text(json.dumps([{"train": raw("unlearn", "train"), "val": rows}]))
    with pytest.raises(UserError, match=r"unlearn.json \(val\):2: the field 'labels' is missing or empty"):
        small(tmp_path)


@pytest.mark.parametrize("item", [{"train": []}, {"train": [], "val": "none"}, ["train", "val"]])
def test_a_single_file_without_its_lists(tmp_path, item):
    single_files(tmp_path)
    (tmp_path / "unlearn.json").write_text(json.dumps([{"train": [], "val": []}, item]))
    with pytest.raises(UserError, match=r"unlearn.json:2: the list '(train|val)' is missing"):
        small(tmp_path)


@pytest.mark.parametrize(("part", "split"), [("train", "train"), ("val", "test")])
def test_a_scope_without_rows(tmp_path, part, split):
    split_files(tmp_path)
    (tmp_path / f"retention_{part}.json").write_text("[]")
    with pytest.raises(UserError, match=f"The retention scope of 'knowundo' has no {split} rows"):
        small(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'[{"text": "Who?"', "unlearn_train.json is not JSON: "),
        (b"\xff\xfe[]\xff", "unlearn_train.json is not JSON: "),
        (b'{"text": "Who?", "labels": "Eve."}', "unlearn_train.json holds no JSON list but dict"),
        (b'["Who?"]', "unlearn_train.json:1: not a JSON object"),
    ],
)
def test_a_file_that_holds_no_rows(tmp_path, content, what):
    split_files(tmp_path)
    (tmp_path / "unlearn_train.json").write_bytes(content)
    with pytest.raises(UserError, match=what):
        small(tmp_path)


def test_missing_files(tmp_path):
    split_files(tmp_path)
    (tmp_path / "retention_val.json").unlink()
    with pytest.raises(UserError) as error:
        small(tmp_path)
    assert error.value.what == f"No data file at {tmp_path}/retention_val.json, nor at {tmp_path}/retention.json"
    assert error.value.fix.startswith("Give data.path= a folder with unlearn_train.json")


def test_too_many_validation_rows(tmp_path):
    with pytest.raises(UserError, match="2 validation rows cannot be held out of 2 training rows"):
        small(split_files(tmp_path), validation=2)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no KnowUnDo files at {REAL}")
def test_the_real_rows():
    data = load("knowundo_privacy", "privacy", str(REAL))
    assert [len(data.streams[name]) for name in ("forget", "retain", "target")] == [360, 401, 1059]
    for scope, test in (("unlearn", 110), ("retention", 108)):
        assert {split: len(rows) for split, rows in data.sets[scope].items()} == {"validation": 40, "test": test}
