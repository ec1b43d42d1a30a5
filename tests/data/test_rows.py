"""Every kind of file that rows are read from, and those that are refused in two lines."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict
from own_rows import PAIRS, chat, jsonl, read

from unlearnkit.data.files import load
from unlearnkit.data.rows import rows
from unlearnkit.errors import UserError


@pytest.mark.parametrize("ending", ["jsonl", "json", "list.json", "csv", "semicolon.csv", "tabs.csv", "tsv", "parquet"])
def test_every_kind_of_file(ending, tmp_path):
    path = tmp_path / f"f.{ending}"
    rows = [{"prompt": p, "response": f'{r} "So", he\nsaid;'} for p, r in PAIRS]
    if ending == "list.json":
        path.write_text("\ufeff" + json.dumps(rows, indent=2), encoding="utf-8")
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending.endswith("sv"):
        mark = {"csv": ",", "semicolon.csv": ";", "tabs.csv": "\t", "tsv": "\t"}[ending]
        lines = [mark.join(f'"{text.replace(chr(34), chr(34) * 2)}"' for text in row.values()) for row in rows]
        path.write_text("\r\n".join([f"prompt{mark}response", *lines, ""]), newline="")
    else:
        jsonl(path, rows)
    assert read(path) == [(p, f'{r} "So", he\nsaid;') for p, r in PAIRS]


GOOD = '{"prompt": "p", "response": "r"}'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "f.jsonl",
            '{"wording": "p", "response": "r"}',
            "f.jsonl:1: no column for the prompt (prompt, question, instruction, query); it has: wording, response",
        ),
        ("f.jsonl", '{"prompt": "p", "reply": "r"}', "f.jsonl:1: no column for the response"),
        ("f.jsonl", f"{GOOD}\n" + '{"prompt": "p", "response": ""}', "f.jsonl:2: the column 'response' is empty"),
        ("f.jsonl", f"{GOOD}\n" + '{"prompt": "p", "response": null}', "f.jsonl:2: the column 'response' is empty"),
        ("f.jsonl", '{"prompt": "p", "response": true}', "f.jsonl:1: the column 'response' holds no text: True"),
        ("f.jsonl", '{"prompt": "p", "response": []}', "f.jsonl:1: the column 'response' is empty"),
        ("f.jsonl", '{"prompt": "p", "response": "\\ud800"}', "f.jsonl:1: it holds a lone surrogate"),
        ("f.jsonl", f"{GOOD}\n\n{{", "f.jsonl:3: not JSON"),
        ("f.jsonl", f"{GOOD}\n7", "f.jsonl:2: not a JSON object: 7"),
        ("f.json", f"[\n{GOOD},\n7]", "f.json:3: not a JSON object: 7"),
        ("f.json", f"[\n{GOOD},\n\n{{]", "f.json:4: not JSON"),
        (
            "f.jsonl",
            f"{GOOD}\n" + '{"prompt": "p", "response": "r", "prompt": "q"}',
            "f.jsonl:2: not JSON (the key 'prompt'",
        ),
        (
            "f.json",
            f'[{GOOD},\n{{"prompt": "p",\n"response": "r", "x": {{\n"y": 1, "y": 1}}}}]',
            "f.json:3: not JSON (the key 'y'",
        ),
        ("f.json", f"[{GOOD}", "f.json:1: not JSON"),
        ("f.json", f"[{GOOD}] and", "something stands behind the list's end"),
        ("f.json", "[" * 100000, "f.json:1: not JSON (maximum recursion depth"),
        ("f.jsonl", '{"prompt": ' + "9" * 6000 + "}", "f.jsonl:1: not JSON (Exceeds the limit"),
        ("f.csv", "\n\nprompt,response\n\na\n", "f.csv:5: 1 fields, and the first line names 2"),
        ("f.json", "[]", "f.json holds no rows"),
        ("f.jsonl", "", "f.jsonl holds no rows"),
        ("f.csv", "", "f.csv holds no rows"),
        ("f.csv", "prompt,response\n", "f.csv holds no rows"),
        ("f.csv", 'prompt,response\n"a\nb",c\nd,e,f\n', "f.csv:4: 3 fields, and the first line names 2"),
        ("f.csv", "prompt,prompt\na,b\n", "f.csv:1: two columns are called 'prompt'"),
        ("f.csv", "prompt,response\na,\n", "f.csv:2: the column 'response' is empty"),
        ("f.csv", 'prompt,response\na,"b\nc,d\ne,f\n', "f.csv:2: no CSV (unexpected end of data)"),
        ("f.csv", 'prompt,response\na,"b\nc,d\ne,"f"\n', "f.csv:2: no CSV (',' expected after '\"')"),
        ("f.jsonl", '{"prompt": "p", "response": NaN}', "f.jsonl:1: the column 'response' holds no text: nan"),
        ("f.json", '{"prompt": ["p", "q"], "response": ["r", "s"]}', "f.json:1: the column 'prompt' holds no text"),
        ("f.parquet", "PAR1 cut", "is not a whole Parquet file"),
        ("f.xlsx", "x", "ends in '.xlsx', which is no kind of data that is read; valid: .jsonl, .json, .csv"),
        ("rows", GOOD, "ends in '', which is no kind of data that is read"),
        (
            "f.jsonl",
            GOOD[:-1] + ', "id": 1}\n' + '{"prompt": "q", "response": "r", "id": 1}',
            "f.jsonl:2: the id '1' is that of",
        ),
        ("f.jsonl", GOOD[:-1] + ', "split": "holdout"}', "f.jsonl:1: the split 'holdout' is none of train"),
        (
            "f.jsonl",
            json.dumps({"messages": chat("a", "b") + chat("c", "d")}),
            "f.jsonl:1: 'messages' is no single exchange with both its texts: user, assistant, user, assistant",
        ),
        ("f.jsonl", '{"messages": "hello"}', "f.jsonl:1: 'messages' holds no messages: hello"),
        (
            "f.jsonl",
            '{"requested_rewrite": {"prompt": "p"}}',
            "a row of requested_rewrite, but not in the shape known by",
        ),
        ("f.jsonl", GOOD, "data.forget= has 1 different prompts, too few to hold out test and validation"),
    ],
)
def test_bad_files_in_two_lines(name, text, said, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as raised:
        load(forget=str(tmp_path / name))
    assert said in raised.value.what and raised.value.fix
    assert "\n" not in raised.value.what and "\n" not in raised.value.fix


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_parted_at_blank_lines_of_any_system(end, tmp_path):
    path = tmp_path / "f.txt"
    path.write_bytes(f"One two.{end}Three.{end} {end}Four five.{end}{end}{end}Six seven.{end}".encode())
    assert read(path) == [("", "One two.\nThree."), ("", "Four five."), ("", "Six seven.")]


def test_a_cell_that_is_not_a_number_is_empty(tmp_path):
    path = jsonl(tmp_path / "f.jsonl", [{"prompt": p, "response": r, "id": float("nan"), "input": float("nan"),
                                         "category": float("nan")} for p, r in PAIRS])  # fmt: skip
    rows = load(forget=path).streams["forget"]
    assert [(row.id, row.category, row.prompt) for row in rows[:2]] == [
        ("forget-00001", None, PAIRS[0][0]),
        ("forget-00002", None, PAIRS[1][0]),
    ]


def test_bytes_that_are_no_utf_8_by_line(tmp_path):
    (tmp_path / "f.csv").write_bytes("prompt,response\na,b\nä,c\n".encode("latin-1"))
    with pytest.raises(UserError, match="f.csv:3: not UTF-8"):
        load(forget=str(tmp_path / "f.csv"))


def test_a_parquet_file_with_two_columns_of_one_name(tmp_path):
    """Arrow allows it, and a row would hold the last."""
    pq.write_table(
        pa.table([["p"], ["r"], ["other"]], names=["prompt", "response", "response"]), tmp_path / "f.parquet"
    )
    with pytest.raises(UserError, match="f.parquet: two columns are called 'response'"):
        read(tmp_path / "f.parquet")


def test_a_folder_of_save_to_disk_is_called_so(tmp_path):
    made = Dataset.from_list([{"prompt": "a", "response": "b"}])
    made.save_to_disk(tmp_path / "one")
    DatasetDict({"train": made, "test": made}).save_to_disk(tmp_path / "several")
    for name, split in (("one", ""), ("several", "['train']")):
        with pytest.raises(UserError, match="save_to_disk") as caught:
            rows(str(tmp_path / name), "data.forget")
        command = f"load_from_disk('{tmp_path / name}'){split}.to_parquet('rows.parquet')"
        assert caught.value.fix == f'Write it as Parquet: python -c "from datasets import load_from_disk; {command}"'
