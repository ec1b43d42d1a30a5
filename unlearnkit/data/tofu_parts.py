"""The parts of TOFU, such as forget10_perturbed: in a folder, on the hub, or made in code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnkit.data.examples import check_row, malformed
from unlearnkit.data.rows import rows
from unlearnkit.data.sources import hub_rows
from unlearnkit.data.tofu_made import QUESTIONS, made
from unlearnkit.errors import UserError

QUESTION = ("question", "answer")
WRONG, PARAPHRASED, REWORDED = "perturbed_answer", "paraphrased_answer", "paraphrased_question"
MADE = "(made for this project, in TOFU's shape; data.hub=locuslab/TOFU or data.path=FOLDER takes TOFU itself)"
Placed = tuple[str, Mapping[str, Any]]  # where a row stands, such as FILE:LINE, and what it holds


class Parts:
    """Where the parts are.

    Args:
        path: a folder with PART.json. Wins over `hub`.
        hub: locuslab/TOFU, whose configurations are the parts; without it and a path they are made in code.

    Attributes:
        of_an_author: rows.
    """

    def __init__(self, path: str | None, hub: str | None, revision: str | None):
        self.folder, self.hub, self.revision = Path(path).expanduser() if path else None, hub, revision
        self.of_an_author = 20 if path or hub else QUESTIONS

    def __str__(self) -> str:
        return f"of {self.folder or self.hub}" if self.folder or self.hub else MADE

    def read(self, part: str) -> list[Placed]:
        """The rows of a part, each a question with its answer; those of a perturbed one with wrong answers beside it.

        Raises:
            UserError: no such part, or a row without one of these.
        """
        placed = self._rows(part)
        for place, row in placed:
            file, _, line = place.rpartition(":")
            check_row(row, QUESTION, file, int(line))
            if part.endswith("_perturbed"):
                wrong = row.get(WRONG)
                if not (isinstance(wrong, list) and wrong and all(map(is_text, wrong))):
                    why = f"no wrong answers to compare with: the field '{WRONG}' is no list of texts"
                    raise malformed(file, int(line), why, json.dumps(row, default=str), (*QUESTION, WRONG))
        return placed

    def _rows(self, part: str) -> list[Placed]:
        if self.folder is not None:
            files = [self.folder / f"{part}{ending}" for ending in (".json", ".jsonl")]
            file = next((file for file in files if file.is_file()), None)
            if file is None:
                raise UserError(
                    f"No data file at {files[0]}",
                    "Give data.path= the folder of hf download --repo-type dataset locuslab/TOFU --local-dir FOLDER",
                )
            return [(row.place, row.values) for row in rows(str(file), "data.path")]
        if self.hub is None:
            return [(f"{part}:{number}", row) for number, row in enumerate(made(part), start=1)]
        fields = [*QUESTION, *((WRONG,) if part.endswith("_perturbed") else ())]
        if WRONG in fields and part.startswith(("forget", "retain")):
            fields += [PARAPHRASED, REWORDED]
        table = hub_rows(self.hub, "train", fields, "data.path=FOLDER", config=part, revision=self.revision)
        return [(f"{self.hub}/{part}:{number}", row) for number, row in enumerate(table, start=1)]


def is_text(value: Any) -> bool:
    """Whether something is said."""
    return isinstance(value, str) and bool(value.strip())
