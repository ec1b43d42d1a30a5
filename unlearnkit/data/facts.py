"""Facts about subjects, to be completed: ROME's known facts (Meng et al. 2022), or a file of the same shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unlearnkit.data.examples import Data, Example, check_row, malformed
from unlearnkit.data.json_text import loads
from unlearnkit.errors import UserError
from unlearnkit.settings.bounds import Positive, Seed

URL = "https://rome.baulab.info/data/dsets/known_1000.json"
SPLITS = ("validation", "test")


def load(
    name: str = "facts",
    path: str | None = None,
    split: Literal["validation", "test"] = "test",
    seed: Seed = 0,
    edited: Positive = 20,
    others: Positive = 100,
) -> Data:
    """Streams `facts` and `forget` (what is rewritten) and sets `edited` (the same) and `others`, as candidates.

    Which of them a model knows is not known yet: `unlearnkit.evaluations.facts.Known` then keeps the first `edited` and
    `others` of each split that it does. A subject counts once, with its first fact, so that no two sets share one.

    Args:
        path: a JSON list of objects with `subject`, `attribute` and `prompt`, which the attribute completes.
        split: the facts that are rewritten and measured as `test`; "validation" takes others in their place, to
            choose settings on.
        seed: of the facts' order; not the run's, so that all seeds of a method rewrite the same facts.
        edited, others: how many will be wanted: a third of the facts is `validation`, and each split is shared out
            in this ratio, with twice the share for `edited`.

    Raises:
        UserError: no file, a malformed one (by its row), or too few facts.
    """
    facts = _read(path)
    order = np.random.default_rng(seed).permutation(len(facts))
    shuffled = [facts[place] for place in order]
    third = len(facts) // 3
    parts = {"validation": shuffled[:third], "test": shuffled[third:]}
    if split == "validation":
        parts = {"test": parts["validation"], "validation": parts["test"]}
    sets: dict[str, dict[str, list[Example]]] = {"edited": {}, "others": {}}
    for part in SPLITS:
        rows = parts[part]
        count = max(round(len(rows) * 2 * edited / (2 * edited + others)), 1)
        if count >= len(rows):
            raise UserError(
                f"{path} has {len(facts)} subjects, too few for {edited} facts to rewrite and {others} others",
                "Give more facts, six at least, or another ratio with data.edited= and data.others=",
            )
        sets["edited"][part], sets["others"][part] = rows[:count], rows[count:]
    return Data(name, {"facts": sets["edited"]["test"], "forget": sets["edited"]["test"]}, sets)


def _read(path: str | None) -> list[Example]:
    """One example a subject, in the file's order."""
    fetch = f"curl -LO {URL}, then data.path=known_1000.json"
    if path is None:
        raise UserError("The data 'facts' comes from a file, and data.path names none", fetch)
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"No data file at {file}", fetch)
    try:
        rows = loads(file.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not JSON: {error}", fetch) from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{file} is not a list of facts", "Give a JSON list of {subject, attribute, prompt}")
    facts: dict[str, Example] = {}
    for number, row in enumerate(rows, start=1):
        example = _example(row, file, number)
        assert example.subject is not None
        facts.setdefault(example.subject.casefold(), example)
    return list(facts.values())


def _example(row: Any, file: Path, number: int) -> Example:
    check_row(row, ("subject", "attribute", "prompt"), file, number)
    if row["subject"] not in row["prompt"]:
        raise malformed(file, number, "the subject is not in its prompt", json.dumps(row))
    known = row.get("known_id", number - 1)
    return Example(f"fact-{known}", row["prompt"], row["attribute"], row.get("relation_id"), row["subject"])
