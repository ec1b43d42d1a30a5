"""What a report reads from a run's folder besides metrics.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unlearnkit.errors import UserError, beginning
from unlearnkit.sums import check


def read_config(folder: Path) -> str:
    """The text of `folder`/config.yaml; `UserError` where there is none or it is not as it was written."""
    check(folder / "config.yaml", "Restore it from a copy")
    try:
        return (folder / "config.yaml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        fix = "Give a folder that `python -m unlearnkit` wrote and finished."
        raise UserError(f"{folder} is no run folder: it has no readable config.yaml.", fix) from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a jsonl file; none where there is no such file."""
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    check(path, "Restore it from a copy, or start the run's command again in a new folder")
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(dict(json.loads(line)))
            except (ValueError, TypeError):
                fix = "Mend or delete that line, then make the report again."
                raise UserError(f"{path}, line {number}: not a JSON object: {beginning(line, 60)!r}.", fix) from None
    return rows
