"""Reading JSONL, and the errors that name file and line."""

import json

import pytest

from unlearnkit.data.examples import Example, nonempty, read_jsonl
from unlearnkit.errors import UserError

GOOD = '{"id": "a", "prompt": "p"}'


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text.encode(encoding))
    return path


def test_rows_in_order_and_blank_lines_skipped(tmp_path):
    path = written(tmp_path, f'{GOOD}\n\n{{"id": "b", "prompt": "q", "extra": 1}}\r\n')
    assert read_jsonl(path, ["id", "prompt"]) == [
        {"id": "a", "prompt": "p"},
        {"id": "b", "prompt": "q", "extra": 1},
    ]


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert read_jsonl(written(tmp_path, GOOD, "utf-8-sig"), ["id"])[0]["id"] == "a"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_separators_inside_a_string_do_not_end_a_row(tmp_path, separator):
    text = f"one{separator}two"
    path = written(tmp_path, json.dumps({"id": "a", "prompt": text}, ensure_ascii=False) + "\n")
    assert read_jsonl(path, ["prompt"]) == [{"id": "a", "prompt": text}]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": "b"', "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ('{"id": "b"}', "the field 'prompt' is missing or empty"),
        ('{"id": "b", "prompt": "  "}', "the field 'prompt' is missing or empty"),
        ('{"id": "b", "prompt": 3}', "the field 'prompt' is missing or empty"),
        ('{"id": "b", "prompt": null}', "the field 'prompt' is missing or empty"),
    ],
)
def test_a_malformed_row_by_file_and_line(tmp_path, line, why):
    path = written(tmp_path, f"{GOOD}\n\n{line}\n{GOOD}\n")
    with pytest.raises(UserError) as raised:
        read_jsonl(path, ["id", "prompt"])
    assert raised.value.what.startswith(f"{path}:3: {why}")
    needs = "; every row has id, prompt" if "missing" in why else ""
    assert raised.value.fix == f"Mend or remove line 3 and run again{needs}"


def test_text_that_is_not_utf8_by_file_and_line(tmp_path):
    path = written(tmp_path, f'{GOOD}\n{{"id": "b", "prompt": "caf\u00e9"}}\n', "latin-1")
    with pytest.raises(UserError) as raised:
        read_jsonl(path, ["id", "prompt"])
    assert raised.value.what.startswith(f"{path}:2: not UTF-8")


def test_no_file_and_no_rows(tmp_path):
    with pytest.raises(UserError, match="No data file at .*nothing.jsonl"):
        read_jsonl(tmp_path / "nothing.jsonl", ["id"])
    with pytest.raises(UserError, match="holds no rows"):
        read_jsonl(written(tmp_path, "\n \n"), ["id"])


def test_an_empty_stream_is_refused():
    example = Example("a", "p")
    assert nonempty("forget", [example], "fix") == [example]
    with pytest.raises(UserError, match="The stream 'forget' is empty"):
        nonempty("forget", [], "fix")
