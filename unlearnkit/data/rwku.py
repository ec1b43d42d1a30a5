"""RWKU (Jin et al. 2024, arXiv:2406.10890; MIT): real people, of whom a model is to forget what it knows already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unlearnkit.data.corpus import pieces
from unlearnkit.data.examples import Data, Example, check_row
from unlearnkit.data.roles import OF_BENCHMARKS
from unlearnkit.data.rows import rows
from unlearnkit.data.scopes import general_examples
from unlearnkit.data.spread import held_out
from unlearnkit.errors import UserError, nearest
from unlearnkit.notices import notice
from unlearnkit.settings.bounds import Positive, Share

EMBEDDED = Path(__file__).parent / "embedded" / "rwku"
QUESTION_SETS = ("forget_level1", "forget_level2", "forget_level3", "neighbor_level1", "neighbor_level2")
MEMBERS = {"forget_membership": "forget_mia", "retain_membership": "retain_mia"}  # sets of texts -> part


def load(
    name: str = "rwku",
    path: str | None = None,
    targets: list[str] | None = None,
    words: Positive | None = 350,
    validation: Share = 0.2,
    general: str | None = None,
) -> Data:
    """Stream `forget`, the targets' passages; `retain`, those of the folder's other people; `general`.

    Sets are the levels of questions (1: a gap to fill, 2: plain, 3: nine kinds of jailbreaks), those about neighbours,
    and two of texts, which a model is likely to have been trained on or not to have forgotten. A question is its own
    prompt, and a text has none.

    Args:
        path: a folder with a folder for each person, or one person's; None: two people written for this project.
        targets: who is to be forgotten, by the folder's name or the part of it that is the person's; the first if None.
        words: of a piece of a passage; None keeps it whole.
        validation: share of each set's rows that settings are chosen on, evenly spaced; 0 measures all, as RWKU does.
        general: a JSONL file of {prompt, response} for the out-of-distribution stream; None: the embedded one.

    Raises:
        UserError: no such folder, file or person, or a row without its field.
    """
    top = Path(path).expanduser() if path else EMBEDDED
    people = [top] if (top / "passage.json").is_file() else _people(top)
    chosen = [_person(person, people) for person in targets] if targets else people[:1]
    others = [person for person in people if person not in chosen]
    sides = {"forget": chosen, "retain": others}
    streams = {side: [row for p in own for row in _passages(p, words)] for side, own in sides.items()}
    sets: dict[str, dict[str, list[Example]]] = {}
    for part in QUESTION_SETS:
        sets[part] = held_out([row for p in chosen for row in _read(p, part, _question)], validation)
    for own, part in MEMBERS.items():
        sets[own] = held_out([row for p in chosen for row in _read(p, part, _text)], validation)
    counts = ", ".join(f"{part} {len(splits['test'])}" for part, splits in sets.items())
    notice(f"To forget of '{name}': {', '.join(p.name for p in chosen)}; measured: {counts}")
    streams = {side: own for side, own in streams.items() if own} | {"general": general_examples(general)}
    return Data(name, streams, sets, {key: OF_BENCHMARKS[key] for key in sets})


def _people(top: Path) -> list[Path]:
    folders = sorted(file.parent for file in top.glob("*/passage.json"))
    if not folders:
        raise UserError(
            f"{top} holds no person's folder: none with a passage.json",
            "Give data.path= RWKU's folder of targets, or one target's",
        )
    return folders


def _person(name: str, people: Sequence[Path]) -> Path:
    names = {key: person for person in people for key in (_called(person.name), person.name)}
    folder = names.get(name) or names.get(name.replace(" ", "_"))
    if folder is None:
        raise UserError(
            f"Nobody is called '{name}' in {people[0].parent}.{nearest(name, names)}",
            f"Set data.targets= to some of: {', '.join(_called(person.name) for person in people[:20])}",
        )
    return folder


def _called(folder: str) -> str:
    """Of 156_Aristotle the person's part."""
    number, _, rest = folder.partition("_")
    return rest if number.isdigit() and rest else folder


def _read(person: Path, part: str, made: Callable[[dict[str, Any], str], Example]) -> list[Example]:
    fields = ("text",) if part in ("passage", "forget_mia", "retain_mia") else ("query", "answer")
    file = person / f"{part}.json"
    if not file.is_file():
        raise UserError(f"No data file at {file}", "Every person's folder has the nine files of RWKU: get it again")
    examples = []
    for number, row in enumerate(rows(str(file), "data.path"), start=1):
        check_row(row.values, fields, file, int(row.place.rpartition(":")[2]))
        examples.append(made(row.values, f"{person.name}-{part}-{number:04d}"))
    return examples


def _question(row: dict[str, Any], identity: str) -> Example:
    kind = row.get("type")
    return Example(identity, row["query"].strip(), row["answer"].strip(), kind if isinstance(kind, str) else None)


def _text(row: dict[str, Any], identity: str) -> Example:
    return Example(identity, "", row["text"].strip())


def _passages(person: Path, words: int | None) -> list[Example]:
    return [
        Example(f"{row.id}-{number}", "", piece)
        for row in _read(person, "passage", _text)
        for number, piece in enumerate(pieces(row.response, words), start=1)
    ]
