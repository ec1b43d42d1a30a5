"""files: one's own rows to forget and to retain, in whatever common shape they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

from unlearnkit.data.columns import Columns, Read
from unlearnkit.data.corpus import pieces
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.overlap import normalised, overlaps
from unlearnkit.data.rows import rows
from unlearnkit.errors import UserError
from unlearnkit.notices import notice
from unlearnkit.settings.bounds import Arguments, Positive

SPLITS = ("train", "validation", "test")
CALLED = {**{split: split for split in SPLITS}, "training": "train", "val": "validation", "valid": "validation",
          "dev": "validation"}  # fmt: skip
HELD_OUT = ("test", "validation")
SHARE = {"forget": 0.5, "holdout": 0.5, "retain": 0.2, "general": 0.2}  # of a side's prompts, for each of the two


def load(
    name: str = "files",
    forget: str | None = None,
    retain: str | None = None,
    holdout: str | None = None,
    general: str | None = None,
    test: str | None = None,
    columns: Annotated[dict[str, Any] | None, Arguments("unlearnkit.data.columns.Columns")] = None,
    words: Positive | None = 350,
) -> Data:
    """Streams `forget`, `retain`, `general` and sets `forget`, `retain`, `holdout`, `general`, of those that are given.

    The stream `target` has every row of forget and retain, those held out too: what a model that cannot know them is
    taught first where `target=taught` is asked for.

    Every forget row is trained on, for an *unlearned* prompt is by definition one that was trained on; half of them
    are measured on validation, half on test. Holdout rows are parted alike and never trained on. Of the others a
    fifth is held out for validation and a fifth for test. A hash of the prompt says which: neither a seed nor the
    rows' order does, and rows of one prompt stay together. Splits that a file gives itself are kept.

    Plain text is trained on as it is, and measured as a sentence to be completed: its first half is the prompt.

    Args:
        forget, retain, holdout, general: files, folders or hf://datasets/ addresses (`rows.rows`).
        test: the test rows of `retain`, which are then held out for validation alone.
        columns: what the columns are called (`columns.Columns`), in all files.
        words: longer plain text is parted into pieces of so many words; None keeps it whole.

    Raises:
        UserError: no forget rows, an unreadable file, a row without a text, two rows of one id that differ, an
            unknown split, or too few rows to hold any out.
    """
    mapping = Columns(**(columns or {}))
    sources = {"forget": forget, "retain": retain, "holdout": holdout, "general": general, "test": test}
    if forget is None:
        raise UserError("data=files has no rows to forget", "Set data.forget=FILE, and data.retain=FILE beside it")
    if test is not None and retain is None:
        raise UserError("data.test= holds test rows for data.retain=, which is not set", "Set data.retain=FILE too")
    read = {side: _read(side, source, mapping, words) for side, source in sources.items() if source is not None}
    streams: dict[str, list[Example]] = {}
    sets: dict[str, dict[str, list[Example]]] = {}
    counts: list[str] = []
    repeated: list[str] = []
    for side in (side for side in SHARE if side in read):
        parts = _parted(side, read[side], read.get("test", []) if side == "retain" else [])
        trained = read[side] if side == "forget" else parts["train"]
        if side in ("retain", "general"):
            repeated += _repeated(side, read[side], parts["train"])
        if side != "holdout":
            streams[side] = [_trained(row) for row in trained]
        sets[side] = {split: [_question(row) for row in parts[split]] for split in SPLITS[1:]}
        measured = f"{len(parts['validation'])} validation, {len(parts['test'])} test"
        counts.append(f"{side}: {len(trained)} {'not used' if side == 'holdout' else 'trained on'}, {measured}")
    streams["target"] = [_trained(row) for side in ("forget", "retain") for row in read.get(side, [])]
    notice(f"Rows of '{name}' (held out by their content, forget rows are measured too): {'; '.join(counts)}")
    for line in (*_notes(read), *repeated, *overlaps(read)):
        notice(line)
    return Data(name, streams, sets)


def _read(side: str, source: str, columns: Columns, words: int | None) -> list[Read]:
    """The rows of one side, each once, with ids; plain text in pieces."""
    by_key: dict[str, Read] = {}
    number = 0
    for row in (columns.read(row) for row in rows(source, f"data.{side}")):
        texts = [row.response] if row.prompt else list(pieces(row.response, words))
        for place, text in enumerate(texts, start=1):
            number += 1
            own = f"{side}-{number:05d}" if row.id is None else f"test-{row.id}" if side == "test" else row.id
            own += f"-{place}" if row.id and len(texts) > 1 else ""
            new = replace(row, response=text, id=own, split=_split(row))
            old = by_key.setdefault(own, new)
            if (old.prompt, old.response, old.split) != (new.prompt, new.response, new.split):
                differ = "splits" if (old.prompt, old.response) == (new.prompt, new.response) else "texts"
                raise UserError(
                    f"{row.place}: the id '{own}' is that of {old.place} too, and their {differ} differ",
                    "Give each row an id of its own, or take the column of ids away",
                )
    return list(by_key.values())


def _split(row: Read) -> str | None:
    if row.split is None:
        return None
    if row.split.lower() not in CALLED:
        raise UserError(
            f"{row.place}: the split '{row.split}' is none of {', '.join(CALLED)}",
            "Mend it, or rename the column and have the rows held out by their content",
        )
    return CALLED[row.split.lower()]


def _parted(side: str, own: list[Read], test: list[Read]) -> dict[str, list[Read]]:
    """Split -> rows: those that a file gives, and what it does not give drawn from the rest."""
    parts: dict[str, list[Read]] = {split: [row for row in own if row.split == split] for split in HELD_OUT}
    parts["test"] += test
    rest = [row for row in own if row.split not in HELD_OUT]
    prompts = sorted({_key(row) for row in rest}, key=_drawn)
    splits = [split for split in HELD_OUT if not parts[split]]
    trained = side in ("retain", "general")
    least = len(splits) + trained
    if len(prompts) < least:
        raise UserError(
            f"data.{side}= has {len(prompts)} different prompts, too few to hold out {' and '.join(splits) or 'any'}"
            f"{' and train on the others' if trained else ''}",
            f"Give at least {least} rows",
        )
    count = max(1, round(SHARE[side] * len(prompts)))
    for number, split in enumerate(splits):
        last = number == len(splits) - 1 and not trained  # rows that are not trained on are all measured
        chosen = set(prompts[number * count : None if last else (number + 1) * count])
        parts[split] = [row for row in rest if _key(row) in chosen]
    keys = {_key(row) for split in splits for row in parts[split]}
    return {**parts, "train": [row for row in rest if _key(row) not in keys]}


def _repeated(side: str, own: list[Read], trained: list[Read]) -> Iterable[str]:
    """A line for each split that a file names, if rows of it stand among those to be trained on, too."""
    known = {_key(row) for row in trained}
    for split in HELD_OUT:
        held = [row for row in own if row.split == split]
        if shared := [row for row in held if _key(row) in known]:
            yield (
                f"Overlap: {len(shared)} of {len(held)} {split} rows of {side} are trained on too, by their"
                f" prompt or text ({shared[0].place})"
            )


def _drawn(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _trained(row: Read) -> Example:
    return Example(str(row.id), row.prompt, row.response, row.category, alternatives=row.alternatives)


def _question(row: Read) -> Example:
    if row.prompt:
        return _trained(row)
    middle = (len(row.response) + 1) // 2
    cut = row.response.rfind(" ", 1, middle + 1)
    cut = middle if cut < 0 else cut
    if not (prompt := row.response[:cut].strip()) or not (rest := row.response[cut:].strip()):
        raise UserError(f"{row.place}: a text of one letter cannot be measured", "Mend or remove it and run again")
    return Example(str(row.id), prompt, rest, row.category)


def _key(row: Read) -> str:
    """What is the same for two rows of one prompt, or of one plain text, whatever their case and signs."""
    return normalised(row.prompt or row.response)


def _notes(read: dict[str, list[Read]]) -> Iterable[str]:
    """A line for each file of which something was not taken as it stands."""
    for side, own in read.items():
        if several := [row for row in own if row.alternatives.get("paraphrases")]:
            yield (
                f"{len(several)} of {len(own)} rows of {side} give several answers ({several[0].place}): the first is"
                " trained on and measured, the others are its paraphrases"
            )
        if unread := list(dict.fromkeys(name for row in own for name in row.unread)):
            yield f"Columns of {side} that are not read: {', '.join(unread)}"
