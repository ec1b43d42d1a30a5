"""Examples, and what a data set is: training examples by stream, evaluation examples by set and split."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearnkit.data.json_text import loads
from unlearnkit.data.roles import BY_NAME, Role
from unlearnkit.errors import UserError, beginning
from unlearnkit.files import writable


@dataclass(frozen=True)
class Example:
    """A prompt, a response, and where they come from.

    Without a prompt the response is plain text, such as a paragraph of a corpus. `subject` is what the prompt asks
    about, word for word, where an editing stage needs it. `alternatives` are other answers to the prompt, by kind:
    paraphrases of the response, wrong ones.
    """

    id: str
    prompt: str
    response: str = ""
    category: str | None = None
    subject: str | None = None
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Fact(Example):
    """A fact whose data say in which layer it lies.

    Args:
        layer: counted from 0.
    """

    layer: int | None = None


@dataclass(frozen=True)
class Graded(Example):
    """A prompt with how far it is from being asked straight out.

    Args:
        grade: 1 straight out, 2 with a reason or a politeness around it, 3 as a story, a role or a rhyme.
    """

    grade: int = 1


@dataclass
class Data:
    """What every loader in `unlearnkit/data` returns.

    Args:
        streams: training examples by stream name (forget, retain, safe, ...).
        sets: evaluation examples by set (unlearned, unseen, normal, ...), then by split (validation, test).
        roles: the side that a stream or a set is on; of others their names say it (`unlearnkit.data.roles`).
        reworded: questions of the sets -> the same in other words.
    """

    name: str
    streams: dict[str, list[Example]]
    sets: dict[str, dict[str, list[Example]]] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    reworded: Mapping[str, str] = field(default_factory=dict)

    def role(self, name: str) -> Role | None:
        """The side that a stream or a set is on."""
        return self.roles.get(name) or BY_NAME.get(name)


def read_jsonl(path: Path, required: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of a JSONL file, each with every required field a non-empty string.

    Raises:
        UserError: no such file, no row, or a malformed row, by file and line.
    """
    if not path.is_file():
        raise UserError(f"No data file at {path}", "Check data.path=, or leave it out for the embedded data")
    rows = []
    # Lines end at "\n" alone: str.splitlines would also break at a U+2028 or U+0085 inside a string.
    for number, line in enumerate(path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = loads(line.decode())
        except UnicodeDecodeError as error:
            raise malformed(path, number, "not UTF-8", repr(line)) from error
        except json.JSONDecodeError as error:
            raise malformed(path, number, f"not JSON ({error.msg})", line.decode()) from error
        check_row(row, required, path, number)
        rows.append(row)
    if not rows:
        raise UserError(f"{path} holds no rows", f"Write one JSON object a line, with {', '.join(required)}")
    return rows


def check_row(row: Any, required: Iterable[str], path: Path | str, number: int) -> None:
    """Raise the `malformed` error of the first required field that is missing or not a non-empty string."""
    if not isinstance(row, dict):
        raise malformed(path, number, "not a JSON object", str(row))
    for name in required:
        if not isinstance(row.get(name), str) or not row[name].strip():
            why = f"the field '{name}' is missing or empty"
            raise malformed(path, number, why, json.dumps(row, default=str), needs=required)
    for name, value in row.items():
        if isinstance(value, str) and not writable(value):
            why = f"the field '{name}' holds a lone surrogate, half of a character"
            raise malformed(path, number, why, json.dumps(row, default=str))


def malformed(path: Path | str, number: int, why: str, row: str, needs: Iterable[str] = ()) -> UserError:
    """The error for row `number` of a file, counted from 1; `needs` are the fields that every row has."""
    fields = ", ".join(needs)
    fix = f"Mend or remove line {number} and run again" + (f"; every row has {fields}" if fields else "")
    return UserError(f"{path}:{number}: {why}: {beginning(row, 120)}", fix)


def nonempty(name: str, examples: list[Example], fix: str) -> list[Example]:
    """The examples themselves; an empty stream is an error, for training on nothing looks like success."""
    if not examples:
        raise UserError(f"The stream '{name}' is empty: there is nothing to train on", fix)
    return examples
