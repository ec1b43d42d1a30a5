"""Rows of people's own files, each with its place: JSON lines, a JSON list, CSV, Parquet, text, folders, the hub."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from unlearnkit.data.corpus import PARAGRAPHS
from unlearnkit.data.hub import downloaded
from unlearnkit.data.json_text import loads, raw_decode
from unlearnkit.data.sources import check_names
from unlearnkit.errors import UserError, beginning, first_line

# How hub data sets name the files of a split: train.jsonl, test-00000-of-00001.parquet.
SPLIT_FILE = re.compile(r"(train|validation|valid|val|dev|test)(?![a-z])", re.IGNORECASE)
SAVED = ("dataset_dict.json", "state.json")  # in a folder of datasets' save_to_disk, of several splits and of one


@dataclass(frozen=True)
class Row:
    """What one row says, by column; `place` is its file and line, `split` what its file is named after."""

    place: str
    values: dict[str, Any]
    split: str | None = None


def rows(source: str, setting: str) -> list[Row]:
    """All rows of a file, of a folder's files (searched deeply, in order of their names), or of a hub data set.

    Args:
        source: a path, or hf://datasets/ORG/NAME[@REVISION][/FILE or FOLDER].
        setting: where it was given, for errors.

    Raises:
        UserError: nothing there, no row, another kind of file, or what is no whole file of its kind.
    """
    path = downloaded(source, setting, tuple(READERS)) if "://" in source else Path(source).expanduser()
    if any((path / name).is_file() for name in SAVED):
        raise UserError(
            f"{path} is what the library datasets keeps for itself (save_to_disk)",
            f"""Write it as Parquet: python -c "from datasets import load_from_disk; load_from_disk('{path}')"""
            f"""{"['train']" if (path / SAVED[0]).is_file() else ""}.to_parquet('rows.parquet')" """.rstrip(),
        )
    if path.is_dir():
        inside = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in READERS and file.is_file())
        files = [file for file in inside if "/." not in f"/{file.relative_to(path).as_posix()}"]
        if not files:
            raise UserError(f"{path} holds no data: no file {', '.join(READERS)}", f"Set {setting}= to such files")
        loaded = [row for file in files for row in _read(file, setting, _split(file))]
    elif path.exists():
        loaded = _read(path, setting, None)
    else:
        raise UserError(f"No file or folder at {path}", f"Check {setting}=")
    if not loaded:
        raise UserError(f"{path} holds no rows", f"Set {setting}= to a file with at least one row")
    return loaded


def _split(file: Path) -> str | None:
    match = SPLIT_FILE.match(file.name)
    return match[1].lower() if match else None


def _read(path: Path, setting: str, split: str | None) -> list[Row]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path} ends in '{path.suffix}', which is no kind of data that is read; valid: {', '.join(READERS)}",
            f"Set {setting}= to such a file",
        )
    try:
        return [Row(place, values, split) for place, values in reader(path)]
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8", f"Save {path.name} as UTF-8 and run again") from error


def _text(path: Path) -> str:
    return path.read_bytes().removeprefix(codecs.BOM_UTF8).decode()


def _json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A list of objects, or one object a line, whatever the ending says."""
    text = _text(path)
    if text.lstrip().startswith("["):
        yield from _json_list(path, text)
        return
    # Lines end at "\n" alone: str.splitlines would also break at a U+2028 or U+0085 inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _object(path, number, loads(line))
            except (ValueError, RecursionError) as error:
                raise _no_json(path, number, error, line) from error


def _json_list(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Element by element, so that each has its line."""
    blank, line, counted = re.compile(r"\s*"), 1, 0
    at = blank.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = raw_decode(text, at)
            at = blank.match(text, end).end()  # type: ignore[union-attr]
            if text[at : at + 1] not in (",", "]") or not text[at : at + 1]:
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
        except (ValueError, RecursionError) as error:
            number = text.count("\n", 0, error.pos) + 1 if isinstance(error, json.JSONDecodeError) else line
            raise _no_json(path, number, error, text.split("\n")[number - 1]) from error
        yield _object(path, line, value)
        if text[at] == ",":
            at = blank.match(text, at + 1).end()  # type: ignore[union-attr]
    if text[at + 1 :].strip():
        raise UserError(f"{path}: something stands behind the list's end", f"Mend {path.name}: one list of objects")


def _object(path: Path, number: int, value: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise UserError(
            f"{path}:{number}: not a JSON object: {beginning(str(value), 120)}", "Write one object a row, {...}"
        )
    return f"{path}:{number}", value


def _no_json(path: Path, number: int, error: Exception, line: str) -> UserError:
    """JSON that is none, is nested too deeply, or holds a number that is too long."""
    why = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error, 80)
    return UserError(
        f"{path}:{number}: not JSON ({why}): {beginning(line, 120)}",
        f"Mend {path.name}: one object a line, or one list of objects",
    )


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The first line names the columns. A .tsv is parted by tabs, others by what it has most of: , or ; or tabs.

    Quotes that do not pair are an error, for a field would go on over the rows behind it.
    """
    text = _text(path)
    header = text.partition("\n")[0]
    comma = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    limit = csv.field_size_limit(2**31 - 1)  # a field may be a whole document
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=comma, strict=True)
        starts, records = [1], []
        for fields in lines:
            records.append(fields)
            starts.append(lines.line_num + 1)
    except csv.Error as error:
        raise UserError(
            f"{path}:{starts[-1]}: no CSV ({error})",
            'Put a field with quotes, commas or line breaks between double quotes ("), and a quote in it twice ("")',
        ) from error
    finally:
        csv.field_size_limit(limit)
    while records and not records[0]:  # blank lines before the names
        del records[0], starts[0]
    columns = records[0] if records else []
    check_names(f"{path}:1", columns)
    for start, fields in zip(starts[1:], records[1:], strict=False):  # the last start is the end
        place = f"{path}:{start}"
        if fields and len(fields) != len(columns):
            raise UserError(
                f"{place}: {len(fields)} fields, and the first line names {len(columns)}: {', '.join(columns)[:120]}",
                'Put a field with commas or line breaks between double quotes ("), and a quote in it twice ("")',
            )
        if fields:
            yield place, dict(zip(columns, fields, strict=True))


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            check_names(f"{path}", file.schema_arrow.names)
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", values
    except pyarrow.ArrowException as error:
        raise UserError(
            f"{path} is not a whole Parquet file: {first_line(error, 120)}", "Get the file again and check its size"
        ) from error


def _paragraphs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Plain text, parted at blank lines.

    Raises:
        UserError: JSON, which would be trained on with its braces and names.
    """
    text = _text(path).replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(text.strip().split("\n")[0])
            raise UserError(f"{path} holds JSON and not plain text", f"Call it {path.stem}.json or {path.stem}.jsonl")
    starts = [0, *(gap.end() for gap in PARAGRAPHS.finditer(text))]
    for start, part in zip(starts, PARAGRAPHS.split(text), strict=True):
        if part.strip():
            yield f"{path}:{text.count(chr(10), 0, start) + 1}", {"text": part.strip()}


READERS: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".jsonl": _json,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".txt": _paragraphs,
}
