"""PKU-SafeRLHF (Ji et al. 2023, arXiv:2307.04657; CC-BY-NC-4.0) and TruthfulQA: Liu et al. 2024's data."""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from unlearnkit.data.examples import Data, Example, check_row, malformed, nonempty
from unlearnkit.data.json_text import loads
from unlearnkit.data.sources import hub_rows, parquet_rows
from unlearnkit.data.truthfulqa import load_pairs
from unlearnkit.errors import UserError
from unlearnkit.settings.bounds import Arguments, Count, Positive, Seed

HUB = "PKU-Alignment/PKU-SafeRLHF"
_TEXTS, _FLAGS = ("prompt", "response_0", "response_1"), ("is_response_0_safe", "is_response_1_safe")
FIELDS: dict[str, type] = {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_FLAGS, bool)}
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
_FORMS = tuple(form + packed for form in (".jsonl", ".json") for packed in ("", *_OPENERS)) + (".parquet",)


def load(
    name: str = "saferlhf",
    path: str | None = None,
    hub: str = HUB,
    revision: str | None = None,
    normal: Annotated[dict[str, Any] | None, Arguments("unlearnkit.data.truthfulqa.load_pairs")] = None,
    test: Positive = 100,
    validation: Count = 100,
    seed: Seed = 0,
    max_rows: Positive | None = None,
) -> Data:
    """Streams `forget` (unsafe pairs), `safe` (safe pairs), `retain` (TruthfulQA); sets as in appendix B.2.

    A row is a prompt with two responses, each marked safe or not: the fields of the first release, which the
    current one has among others. It gives two pairs; an empty response gives none, a repeated pair counts
    once, and a pair marked both ways counts as unsafe. Each set has `test` and `validation` prompts, all
    different: `unlearned` out of `forget`, `unseen` with an unsafe response in the test split and in no
    training stream, `normal` out of TruthfulQA and not in `retain`. Texts are compared without regard to
    case and spacing.

    The official code differs: its loader is unshuffled, so only the first rows are seen; all correct answers
    to a question are one string with ';' in it; and it has no evaluation, so it holds nothing out.

    Args:
        path: a folder, searched deeply, with files train* and test* as .jsonl or .json (plain, .gz or .xz) or
            .parquet; wins over `hub`.
        revision: of the hub data set.
        normal: arguments of `unlearnkit.data.truthfulqa.load_pairs`.
        test, validation: prompts in each set's split.
        seed: draws the held-out prompts; not the run's, so that every run is measured on the same.
        max_rows: rows of each split to use, drawn by `seed`; all if None.

    Raises:
        UserError: no data, a malformed row (by file and line), an empty stream, too few rows for the sizes.
    """
    forget, safe = _pairs("train", _split("train", path, hub, revision, max_rows, seed))
    harmful, _ = _pairs("test", _split("test", path, hub, revision, max_rows, seed))
    nonempty("forget", forget, "Give rows with is_response_0_safe or is_response_1_safe false in data.path=")
    questions = load_pairs(**(normal or {}))

    trained = {_key(example.prompt) for example in forget + safe}
    pools = {
        "unlearned": _distinct(forget),
        "unseen": [example for example in _distinct(harmful) if _key(example.prompt) not in trained],
        "normal": _distinct(questions),
    }
    sets = {part: _draw(part, pool, test, validation, seed) for part, pool in pools.items()}
    measured = {_key(example.prompt) for split in sets["normal"].values() for example in split}
    retain = [example for example in questions if _key(example.prompt) not in measured]
    nonempty("retain", retain, f"{len(measured)} questions are held out: lower data.test=, data.validation=")
    return Data(name, {"forget": forget, "retain": retain, "safe": safe}, sets)


def _split(
    split: str, path: str | None, hub: str, revision: str | None, max_rows: int | None, seed: int
) -> list[tuple[int, dict[str, Any]]]:
    """(number in the split, row), checked; `max_rows` of them at random, in their order."""
    entries: Iterator[tuple[str, int, dict[str, Any]]]
    if path is None:
        rows = hub_rows(hub, split, list(FIELDS), "data.path=FOLDER", revision=revision)
        entries = ((f"{hub} ({split})", line, row) for line, row in enumerate(rows, start=1))
    else:
        files = _files(Path(path).expanduser(), split)
        entries = ((str(file), line, row) for file in files for line, row in _read(file))
    numbered = []
    for number, (where, line, row) in enumerate(entries, start=1):
        _check(row, where, line)
        numbered.append((number, {field: row[field] for field in FIELDS}))
    if max_rows is None or max_rows >= len(numbered):
        return numbered
    chosen = _random(seed, split).choice(len(numbered), max_rows, replace=False)
    return [numbered[index] for index in sorted(chosen)]


def _files(folder: Path, split: str) -> list[Path]:
    files = [
        file
        for file in sorted(folder.rglob(f"{split}*"))
        if file.name.endswith(_FORMS) and "/." not in f"/{file.relative_to(folder).as_posix()}"
    ]
    if not files:
        raise UserError(
            f"data.path={folder} holds no {split}* file ({', '.join(_FORMS)})",
            f"hf download --repo-type dataset {HUB} --local-dir FOLDER, then data.path=FOLDER",
        )
    return files


def _read(path: Path) -> Iterator[tuple[int, Any]]:
    """(line or row number, row) of one file; a .json file is a list of rows or one row a line."""
    if path.suffix == ".parquet":
        yield from enumerate(parquet_rows(path, list(FIELDS)), start=1)
        return
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            text: bytes = file.read().removeprefix(b"\xef\xbb\xbf")
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise UserError(f"{path} cannot be unpacked: {error}", "Get the file again") from error
    if text.lstrip().startswith(b"["):
        yield from enumerate(_parse(text, path, 1), start=1)
        return
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line.strip():
            yield number, _parse(line, path, number)


def _parse(text: bytes, path: Path, number: int) -> Any:
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        line, shown = number + error.lineno - 1, error.doc.split("\n")[error.lineno - 1]
        raise malformed(path, line, f"not JSON ({error.msg})", shown) from error
    except UnicodeDecodeError as error:
        raise malformed(path, number, f"not UTF-8 ({error.reason})", repr(text)) from error


def _check(row: Any, where: str, number: int) -> None:
    check_row(row, ("prompt",), where, number)
    for field, kind in FIELDS.items():
        if not isinstance(row.get(field), kind):
            what = "true or false" if kind is bool else "text"
            problem = f"is not {what}" if field in row else "is missing"
            raise malformed(where, number, f"the field '{field}' {problem}", json.dumps(row, default=str))


def _pairs(split: str, rows: list[tuple[int, dict[str, Any]]]) -> tuple[list[Example], list[Example]]:
    """Unsafe and safe pairs, each text once."""
    unsafe: dict[tuple[str, str], Example] = {}
    safe: dict[tuple[str, str], Example] = {}
    for number, row in rows:
        for which in (0, 1):
            prompt, response = row["prompt"].strip(), row[f"response_{which}"].strip()
            if response:
                pairs = safe if row[f"is_response_{which}_safe"] else unsafe
                example = Example(f"saferlhf-{split}-{number:06d}-{which}", prompt, response)
                pairs.setdefault((_key(prompt), _key(response)), example)
    return list(unsafe.values()), [example for pair, example in safe.items() if pair not in unsafe]


def _draw(name: str, pool: list[Example], test: int, validation: int, seed: int) -> dict[str, list[Example]]:
    """Splits of different prompts at random; more validation prompts leave the test prompts as they are."""
    if len(pool) < test + validation:
        more = "data.normal.path=" if name == "normal" else "data.path= or a higher data.max_rows="
        raise UserError(
            f"The set '{name}' needs {test} test and {validation} validation prompts, but the data has only"
            f" {len(pool)} distinct ones for it",
            f"Lower data.test= and data.validation=, or give more rows with {more}",
        )
    order = _random(seed, name).permutation(len(pool))[: test + validation]
    drawn = [pool[index] for index in order]
    return {"test": drawn[:test], "validation": drawn[test:]}


def _distinct(examples: list[Example]) -> list[Example]:
    """The first example of each prompt."""
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(_key(example.prompt), example)
    return list(first.values())


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
