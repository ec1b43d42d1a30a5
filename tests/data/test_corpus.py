"""Paragraphs of every kind of corpus are the same rows, read no further than asked, through the hub's own builders."""

import gzip
import itertools
import json

import datasets
import pytest

from unlearnkit.data.corpus import page_paragraphs, paragraphs, pieces
from unlearnkit.errors import UserError

ROWS = ["Ann keeps bees.", "Bo sails.\nHe sails far.", "Çem paints “water”."]


def text_file(folder):
    (folder / "corpus.txt").write_text(" \n\n".join(ROWS[:2]) + "\n \n\n\n" + ROWS[2] + "\n", encoding="utf-8")
    return folder / "corpus.txt"


def json_lines(rows, more=None):
    return "".join(json.dumps({"text": row, **(more or {})}) + "\n" for row in rows)


def jsonl_file(folder):
    (folder / "corpus.jsonl").write_text(json_lines(ROWS, {"meta": {"url": "x"}}))
    return folder / "corpus.jsonl"


def gzip_file(folder):
    with gzip.open(folder / "corpus.json.gz", "wt") as file:
        file.write(json_lines(ROWS, {"id": "1", "source": "books"}))
    return folder / "corpus.json.gz"


def parquet_file(folder):
    datasets.Dataset.from_dict({"text": ROWS}).to_parquet(folder / "corpus.parquet")
    return folder / "corpus.parquet"


def mixed_folder(folder):
    """Files are read in the order of their names; files of other kinds are passed over."""
    inside = folder / "corpus" / "deeper"
    inside.mkdir(parents=True)
    (folder / "corpus" / "a.jsonl").write_text(json_lines(ROWS[:1], {"meta": {"a": 1}}))
    (folder / "corpus" / "b.txt").write_text(ROWS[1])
    (inside / "c.jsonl").write_text(json_lines(ROWS[2:], {"meta": {"b": "other"}}))
    (folder / "corpus" / "README.md").write_text("Nothing.")
    return folder / "corpus"


def pattern(folder):
    """As RedPajama's sample: several files by a pattern, with fields that differ."""
    (folder / "one_sample.jsonl").write_text(json_lines(ROWS[:1], {"meta": {"timestamp": "x"}}))
    (folder / "two_sample.jsonl").write_text(json_lines(ROWS[1:], {"meta": {"short": 2}, "red": True}))
    return f"file://{folder}/*_sample.jsonl"


def listed(folder):
    """As Dolma: a list of addresses."""
    (folder / "urls.txt").write_text(f"{gzip_file(folder)}\n\n")
    return f"file://{folder}/urls.txt"


@pytest.mark.parametrize(
    "kind", [text_file, jsonl_file, gzip_file, parquet_file, mixed_folder, pattern, listed], ids=lambda f: f.__name__
)
def test_every_kind_gives_the_same_rows(tmp_path, kind):
    assert list(paragraphs(str(kind(tmp_path)))) == ROWS


def test_no_more_is_read_than_asked_for(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(json_lines(ROWS) + '{"words": 1}\n')
    assert list(itertools.islice(paragraphs(str(path)), 3)) == ROWS
    with pytest.raises(UserError, match=r"corpus.jsonl:4: no field 'text': .\"words\": 1"):
        list(paragraphs(str(path)))


def test_long_paragraphs_are_parted(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(json_lines(["a b c\nd e\n\nf g h i", "j k"]))
    assert list(paragraphs(str(path), words=5)) == ["a b c\nd e", "f g h i", "j k"]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (" a b\nc ", None, ["a b\nc"]),
        ("a b\nc", 3, ["a b\nc"]),
        ("a b\nc", 2, ["a b", "c"]),
        ("a b c d e\nf", 2, ["a b", "c d", "e\nf"]),  # a line that is too long, then what still fits
        (" \n ", 2, []),
        ("", None, []),
    ],
)
def test_pieces(text, words, expected):
    assert list(pieces(text, words)) == expected


def test_paragraphs_of_a_page():
    page = "Ann Ash is a poet of the north coast.\n\n\n== Life ==\nBorn in Turku.\n"
    page += "She wrote nine books about the sea and bees.\n"
    assert page_paragraphs(page) == [
        "Ann Ash is a poet of the north coast.",
        "She wrote nine books about the sea and bees.",
    ]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (None, "No corpus at"),
        ({"corpus.csv": "text\na"}, "holds no corpus: no file .txt, .jsonl, .json, .parquet"),
        ({"corpus.jsonl": "not json\n"}, r"corpus:1: not JSON \(Expecting value\): not json"),
        ({"corpus.jsonl": '\n{"text": null}\n'}, "corpus:2: 'text' is no string"),
        ({"corpus.jsonl": '["text"]\n'}, "corpus:1: no field 'text'"),
        ({"corpus.parquet": "PAR"}, "cannot be read: "),
    ],
)
def test_what_is_no_corpus(tmp_path, written, what):
    folder = tmp_path / "corpus"
    for name, content in (written or {}).items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    with pytest.raises(UserError, match=what):
        list(paragraphs(str(folder)))


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "corpus.csv").write_text("text\na")
    with pytest.raises(UserError, match="What kind of file is"):
        list(paragraphs(str(tmp_path / "corpus.csv")))


def test_an_address_out_of_reach():
    with pytest.raises(UserError, match=r"The corpus file:///nowhere/urls.txt cannot be read.*\nDownload it"):
        list(paragraphs("file:///nowhere/urls.txt"))
    with pytest.raises(UserError, match="The corpus file:///nowhere/.*.jsonl holds no rows"):
        list(paragraphs("file:///nowhere/*.jsonl"))
