"""Objects with a doubled key, beside what the library reads."""

import json

import pytest

from unlearnkit.data.corpus import paragraphs
from unlearnkit.data.examples import read_jsonl
from unlearnkit.data.facts import load as load_facts
from unlearnkit.data.json_text import DoubledKey, loads, raw_decode
from unlearnkit.data.refusals import Refusals
from unlearnkit.errors import UserError
from unlearnkit.records.peers import read_log


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2.5, null, {"b": "\\u00e9"}], "c": {"a": true}}', "[]", '"x"', "NaN", "-1"]
)
def test_as_the_library_reads_it(text):
    assert repr(loads(text)) == repr(loads(text.encode())) == repr(json.loads(text))
    assert repr(raw_decode(f"[{text}]", 1)) == repr((json.loads(text), len(text) + 1))


@pytest.mark.parametrize(
    ("text", "key", "at"),
    [
        ('{"a": 1, "a": 1}', "a", 0),
        ('[{"a": 1},\n {"b": {"a": 1, "\\u0061": 2}}]', "a", 18),
        ('{"a": {"x": 1}, "a": {"x": 1, "x": 2}}', "x", 21),
    ],
)
def test_a_doubled_key_is_told_with_its_place(text, key, at):
    for read in (loads, lambda text: raw_decode(text, 0)):
        with pytest.raises(DoubledKey, match=f"the key '{key}' stands twice in one object") as caught:
            read(text)
        assert caught.value.pos == at


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_jsonl(path, ("prompt",)),
        lambda path: list(paragraphs(str(path))),
        lambda path: Refusals("forget", str(path)),
        lambda path: load_facts("facts", str(path)),
        read_log,
    ],
)
def test_every_reader_refuses_one(read, tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"prompt": "p", "text": "long enough a text", "response": "r", "prompt": "q"}\n')
    with pytest.raises(UserError, match="the key 'prompt' stands twice"):
        read(path)
