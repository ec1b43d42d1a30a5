"""Paragraphs of a corpus, streamed: local files, the hub's or any address, all through the same `datasets` builders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from unlearnkit.data.examples import malformed
from unlearnkit.data.json_text import loads
from unlearnkit.errors import UserError, first_line

# by ending; compressed files are read as they are
KINDS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
PARAGRAPHS = re.compile(r"\n[ \t]*\n")
PACKED = (".gz", ".zst", ".bz2", ".xz")


def paragraphs(corpus: str, words: int | None = None) -> Iterator[str]:
    """Every paragraph of a corpus, in order, reading little further than what is asked for.

    Args:
        corpus: a file, a folder of files, an address (https://...) or the hub's pattern (hf://datasets/...). Text
            is parted at blank lines, .json and .jsonl have an object with a `text` a line, .parquet such a column. An
            address that ends in .txt is a list of files' addresses, one a line, which is how Dolma is given.
        words: longer paragraphs are parted into pieces of at most that many words; None leaves them whole.

    Raises:
        UserError: nothing there, out of reach, not of that form, or a row without a `text`.
    """
    read = 0
    for kind, files in _files(corpus):
        for number, row in enumerate(_rows(corpus, kind, files), start=1):
            for part in PARAGRAPHS.split(row) if kind == "text" else [_text(corpus, kind, number, row)]:
                yield from pieces(part, words)
            read += 1
    if not read:
        raise UserError(f"The corpus {corpus} holds no rows", "Check data.corpus=: no file may match it")


def pieces(text: str, words: int | None = None) -> Iterator[str]:
    """The text in pieces of at most `words` words, at ends of lines where it can be; empty ones are left out."""
    if words is None or len(text.split()) <= words:
        if text.strip():
            yield text.strip()
        return
    piece: list[str] = []
    size = 0
    for line in _lines(text, words):
        length = len(line.split())
        if size + length > words:
            yield "\n".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += length
    if piece:
        yield "\n".join(piece)


def page_paragraphs(page: str, at_least: int = 8) -> list[str]:
    """Paragraphs of an encyclopaedia's page: its lines, without headings (== ... ==) and scraps of few words."""
    lines = (line.strip() for line in page.split("\n"))
    return [line for line in lines if not line.startswith("==") and len(line.split()) >= at_least]


def _lines(text: str, words: int) -> Iterator[str]:
    """Lines that are not blank; one of more words than allowed in several."""
    for line in text.split("\n"):
        line_words = line.split()
        if len(line_words) <= words:
            if line_words:
                yield line.strip()
            continue
        for start in range(0, len(line_words), words):
            yield " ".join(line_words[start : start + words])


def _files(corpus: str) -> list[tuple[str, list[str]]]:
    """(kind, files) in order."""
    if "://" in corpus:
        if corpus.endswith(".txt"):
            return _grouped(corpus, _listed(corpus))
        return _grouped(corpus, [corpus])
    path = Path(corpus).expanduser()
    if path.is_dir():
        inside = sorted(str(file) for file in path.rglob("*") if file.is_file() and _kind(file.name))
        return _grouped(corpus, inside)
    if not path.is_file():
        raise UserError(f"No corpus at {path}", "Give data.corpus= a file, a folder or an address, or leave it out")
    return _grouped(corpus, [str(path)])


def _grouped(corpus: str, files: list[str]) -> list[tuple[str, list[str]]]:
    groups: list[tuple[str, list[str]]] = []
    for file in files:
        kind = _kind(file)
        if kind is None:
            raise UserError(f"What kind of file is {file}? Valid: {', '.join(KINDS)}", "Give data.corpus= such files")
        if not groups or groups[-1][0] != kind:
            groups.append((kind, []))
        groups[-1][1].append(file)
    if not groups:
        raise UserError(f"{corpus} holds no corpus: no file {', '.join(KINDS)}", "Give data.corpus= such files")
    return groups


def _kind(name: str) -> str | None:
    for ending in PACKED:
        name = name.removesuffix(ending)
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)


def _listed(address: str) -> list[str]:
    try:
        with fsspec.open(address, "rt", encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip()]
    except Exception as error:  # each file system has its own: OSError, httpx.HTTPError, aiohttp.ClientError, ...
        raise _unreadable(address, error) from error


def _rows(corpus: str, kind: str, files: list[str]) -> Iterator[Any]:
    """Paragraphs of text, lines of JSON, or what Parquet has in its column `text`.

    JSON is read as lines of text, for the builder of that name wants every row of all files to have the same fields
    of the same types, which those of RedPajama (`meta`) do not have.
    """
    from datasets import load_dataset  # a second, and only a corpus needs it

    builder = "parquet" if kind == "parquet" else "text"
    options: dict[str, Any] = {"columns": ["text"]} if kind == "parquet" else {}
    if kind == "text":
        options["sample_by"] = "paragraph"
    try:
        for row in load_dataset(builder, data_files=files, split="train", streaming=True, **options):
            yield row["text"]
    except Exception as error:  # as above, and pyarrow's
        raise _unreadable(corpus, error) from error


def _text(corpus: str, kind: str, number: int, row: Any) -> str:
    """The `text` of a row; nothing for a blank line."""
    try:
        text = loads(row)["text"] if kind == "json" and row.strip() else row
    except json.JSONDecodeError as error:
        raise malformed(corpus, number, f"not JSON ({error.msg})", row) from error
    except (KeyError, TypeError) as error:
        raise malformed(corpus, number, "no field 'text'", row) from error
    if not isinstance(text, str):
        raise malformed(corpus, number, "'text' is no string", str(row))
    return text


def _unreadable(corpus: str, error: Exception) -> UserError:
    reason = first_line(error)
    return UserError(
        f"The corpus {corpus} cannot be read: {reason}",
        "Download it where there is a network and give data.corpus=FILE or FOLDER",
    )
