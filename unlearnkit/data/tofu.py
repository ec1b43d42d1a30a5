"""TOFU (Maini et al. 2024, arXiv:2401.06121; MIT): fictitious authors, of whom some are to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.overlap import normalised
from unlearnkit.data.scopes import general_examples
from unlearnkit.data.tofu_parts import PARAPHRASED, REWORDED, WRONG, Parts, Placed, is_text
from unlearnkit.errors import UserError, beginning
from unlearnkit.notices import notice
from unlearnkit.settings.bounds import Positive

REST = {"forget01": "retain99", "forget05": "retain95", "forget10": "retain90"}


def load(
    name: str = "tofu",
    forget: Literal["forget01", "forget05", "forget10"] = "forget10",
    retain: str | None = None,
    path: str | None = None,
    hub: str | None = None,
    revision: str | None = None,
    authors: Positive | None = None,
    general: str | None = None,
) -> Data:
    """Streams `forget`, `retain`, `general` and `target` (retain, then forget: TOFU's `full`); five sets.

    `forget` and `retain` are measured on the rows of FORGET_perturbed and retain_perturbed, which have other answers
    beside each, `real_authors` and `world_facts` likewise, and `holdout` on authors that nobody is taught. All are the
    split `test`. On `validation` the forget and retain rows are asked in other words; the other sets have none there.

    Args:
        forget, retain: parts; None for the retain part that belongs to the forget part.
        path: a folder with TOFU's files, PART.json. Wins over `hub`.
        hub: locuslab/TOFU; without it and a path the rows are those of `tofu_made`.
        authors: of the retain part that are taught and measured, the first ones; all if None.
        general: a JSONL file of {prompt, response} for the out-of-distribution stream; None: the embedded one.

    Raises:
        UserError: a part that is not there or does not belong to another, a row without a field, a perturbed row
            without other answers, a holdout row that is taught.
    """
    parts = Parts(path, hub, revision)
    retain_split = retain or REST.get(forget, "")
    if REST.get(forget) != retain_split:
        raise UserError(
            f"The retain split '{retain_split}' does not belong to the forget split '{forget}':"
            f" {', '.join(f'{one} goes with {other}' for one, other in REST.items())}",
            "Leave data.retain= out, or set data.forget= to the other of the pair",
        )
    retained, gone = parts.read(retain_split), parts.read(forget)
    retained = retained[: authors and authors * parts.of_an_author]
    taught = [
        _example(f"tofu-{number:04d}", row, f"author {(number - 1) // parts.of_an_author + 1:03d}")
        for number, row in enumerate((*retained, *gone), start=1)
    ]
    streams = {"forget": taught[len(retained) :], "retain": taught[: len(retained)]}
    _check_apart(retain_split, retained, forget, gone)
    holdout = parts.read(f"holdout{forget[-2:]}")
    _check_unseen(holdout, (*retained, *gone))
    retain_rows = parts.read("retain_perturbed")
    if authors:
        known = {row["question"] for _, row in retained}
        retain_rows = [(place, row) for place, row in retain_rows if row["question"] in known]
    forget_rows = parts.read(f"{forget}_perturbed")
    reworded = {row["question"]: row[REWORDED] for _, row in (*forget_rows, *retain_rows) if is_text(row.get(REWORDED))}
    sets = {
        "forget": _measured(forget_rows, streams["forget"], forget, True),
        "retain": _measured(retain_rows, streams["retain"], retain_split, True),
        "real_authors": _measured(parts.read("real_authors_perturbed")),
        "world_facts": _measured(parts.read("world_facts_perturbed")),
        "holdout": {"validation": [], "test": [_example(f"holdout-{n:04d}", row) for n, row in enumerate(holdout, 1)]},
    }
    counts = ", ".join(f"{side} {len(splits['test'])}" for side, splits in sets.items())
    notice(f"Rows of '{name}' {parts}: {forget} {len(gone)}, {retain_split} {len(retained)}; measured: {counts}")
    streams |= {"general": general_examples(general), "target": taught}
    return Data(name, streams, sets, {"real_authors": "general", "world_facts": "general"}, reworded)


def _measured(
    rows: list[Placed], taught: list[Example] | None = None, part: str = "", reworded: bool = False
) -> dict[str, list[Example]]:
    """Split -> the rows of a perturbed part, with the ids of those that are taught.

    Raises:
        UserError: one that is not among these.
    """
    known = {(row.prompt, row.response): row for row in taught or ()}
    test, validation = [], []
    for number, placed in enumerate(rows, start=1):
        place, row = placed
        own = known.get((row["question"], row["answer"]))
        if taught is not None and own is None:
            raise UserError(
                f"{place}: this row is none of {part}: {beginning(row['question'], 120)}",
                f"Give the perturbed file that was made of {part}",
            )
        stem = Path(place.rpartition(":")[0]).stem.removesuffix("_perturbed")
        example = _example(own.id if own else f"{stem}-{number:04d}", placed, own.category if own else None)
        test.append(example)
        if reworded and is_text(row.get(REWORDED)):
            validation.append(
                Example(
                    f"{example.id}-reworded",
                    row[REWORDED],
                    example.response,
                    example.category,
                    alternatives=example.alternatives,
                )
            )
    return {"validation": validation, "test": test}


def _example(identity: str, placed: Placed, category: str | None = None) -> Example:
    _, row = placed
    kinds = {"paraphrases": row.get(PARAPHRASED) or (), "wrong": row.get(WRONG) or ()}
    texts = {kind: (value,) if isinstance(value, str) else tuple(value) for kind, value in kinds.items()}
    alternatives = {kind: value for kind, value in texts.items() if value}
    return Example(identity, row["question"], row["answer"], category, alternatives=alternatives)


def _check_apart(retain: str, retained: list[Placed], forget: str, gone: list[Placed]) -> None:
    """No row is on both sides."""
    known = {(row["question"], row["answer"]) for _, row in retained}
    if both := [placed for placed in gone if (placed[1]["question"], placed[1]["answer"]) in known]:
        raise UserError(
            f"{len(both)} of {len(gone)} rows of {forget} are in {retain} too, first {both[0][0]}:"
            f" {beginning(both[0][1]['question'], 100)}",
            f"Give the {retain} that was made with this {forget}",
        )


def _check_unseen(holdout: list[Placed], taught: tuple[Placed, ...]) -> None:
    """No held-out question is asked in teaching."""
    places = {normalised(row["question"]): place for place, row in taught}
    both = [
        (place, row["question"], places[key])
        for place, row in holdout
        if (key := normalised(row["question"])) in places
    ]
    if both:
        listed = ", ".join(f"{place} ({beginning(question, 60)}) is {other}" for place, question, other in both[:3])
        more = f" and {len(both) - 3} more" if len(both) > 3 else ""
        raise UserError(
            f"{len(both)} of {len(holdout)} holdout rows are taught too: {listed}{more}",
            "Take them out: membership is told from rows that were never trained on",
        )
