"""KnowUnDo (Tian et al. 2024, arXiv:2407.01920; MIT): private facts of fictitious authors, copyrighted books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unlearnkit.data.examples import Data, Example, check_row, malformed
from unlearnkit.data.json_text import loads
from unlearnkit.data.scopes import SCOPES, Splits, general_examples, hold_out, scope_data
from unlearnkit.data.sources import hub_rows
from unlearnkit.errors import UserError
from unlearnkit.settings.bounds import Count

FIELDS = ("text", "labels")  # question, answer
PARTS = ("train", "val")


def load(
    name: str,
    domain: str,
    path: str | None = None,
    hub: str = "zjunlp/KnowUnDo",
    revision: str | None = None,
    validation: Count = 40,
    general: str | None = None,
) -> Data:
    """Both scopes of a domain; the authors' `val` is our test split, as they report on it.

    Args:
        domain: "privacy" or "copyright", the hub's configuration.
        path: a folder with `{unlearn,retention}_{train,val}.json`, lists of {text, labels}; or the hub's own
            files `unlearn.json` and `retention.json`, each [{"train": [...], "val": [...]}]. Wins over `hub`.
        validation: rows held out of each scope's training rows, to choose settings on.
        general: a JSONL file of {prompt, response} for the out-of-distribution stream; None: the embedded one.

    Raises:
        UserError: no data, a malformed row (by file and number), a scope without rows.
    """
    scopes: dict[str, Splits] = {}
    for scope in SCOPES:
        parts = {part: _examples(domain, scope, part, path, hub, revision) for part in PARTS}
        train, apart = hold_out(parts["train"], validation) if parts["train"] else ([], [])
        scopes[scope] = {"train": train, "validation": apart, "test": parts["val"]}
    return scope_data(name, scopes, general_examples(general))


def _examples(domain: str, scope: str, part: str, path: str | None, hub: str, revision: str | None) -> list[Example]:
    where, rows = _rows(domain, scope, part, path, hub, revision)
    examples = []
    for number, row in enumerate(rows, start=1):
        check_row(row, FIELDS, where, number)
        examples.append(Example(f"{scope}-{part}-{number:04d}", row["text"].strip(), row["labels"].strip(), scope))
    return examples


def _rows(
    domain: str, scope: str, part: str, path: str | None, hub: str, revision: str | None
) -> tuple[str, list[Any]]:
    """(where they are, the rows) of one part of a scope."""
    if path is None:
        whole = hub_rows(hub, scope, list(PARTS), f"data.path=FOLDER/{domain}", config=domain, revision=revision)
        return f"{hub} ({domain}, {scope}, {part})", [row for item in whole for row in item[part]]
    folder = Path(path).expanduser()
    split, single = folder / f"{scope}_{part}.json", folder / f"{scope}.json"
    if split.is_file():
        return str(split), _list(split)
    if not single.is_file():
        raise UserError(
            f"No data file at {split}, nor at {single}",
            "Give data.path= a folder with unlearn_train.json, unlearn_val.json, retention_train.json and"
            " retention_val.json, or with the hub's unlearn.json and retention.json",
        )
    rows = []
    for number, item in enumerate(_list(single), start=1):
        for field in PARTS:
            if not isinstance(item, dict) or not isinstance(item.get(field), list):
                raise malformed(single, number, f"the list '{field}' is missing", json.dumps(item))
        rows += item[part]
    return f"{single} ({part})", rows


def _list(path: Path) -> list[Any]:
    try:
        rows = loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not JSON: {error}", "Get the file again, or mend it") from error
    if not isinstance(rows, list):
        raise UserError(f"{path} holds no JSON list but {type(rows).__name__}", "Give a list of rows")
    return rows
