"""The parts of MUSE, such as `raw` and `knowmem`, each with its splits: in a folder, on the hub, or made in code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnkit.data.examples import check_row
from unlearnkit.data.muse_made import Corpus, made
from unlearnkit.data.rows import rows
from unlearnkit.data.sources import hub_rows
from unlearnkit.errors import UserError

FIELDS = {"knowmem": ("question", "answer"), "verbmem": ("prompt", "gt")}  # the others have a text
MADE = "(made for this project, in MUSE's shape; data.hub=muse-bench/MUSE-News or data.path=FOLDER takes MUSE itself)"
ENDINGS = (".json", ".jsonl", ".parquet", ".txt")
Placed = tuple[str, Mapping[str, Any]]  # where a row stands, such as FILE:LINE, and what it holds


class Parts:
    """Where the parts are.

    Args:
        corpus: which of the two that are made in code.
        path: a folder with PART/SPLIT.json (or .txt, or Parquet files as the hub has them). Wins over `hub`.
        hub: muse-bench/MUSE-News or MUSE-Books, whose configurations are the parts.
    """

    def __init__(self, corpus: Corpus, path: str | None, hub: str | None, revision: str | None):
        self.corpus, self.hub, self.revision = corpus, hub, revision
        self.folder = Path(path).expanduser() if path else None

    def __str__(self) -> str:
        return f"of {self.folder or self.hub}" if self.folder or self.hub else MADE

    def read(self, part: str, *splits: str) -> list[Placed]:
        """The rows of a part's split, under the first of its names that is there; each with all its fields.

        Raises:
            UserError: none of them, or a row without a field.
        """
        fields = FIELDS.get(part, ("text",))
        placed = self._rows(part, splits, list(fields))
        for place, row in placed:
            file, _, number = place.rpartition(":")
            check_row(row, fields, file, int(number))
        return placed

    def _rows(self, part: str, splits: tuple[str, ...], fields: list[str]) -> list[Placed]:
        if self.folder is not None:
            return self._of_folder(part, splits)
        if self.hub is None:
            return [(f"{part}/{splits[0]}:{n}", row) for n, row in enumerate(made(self.corpus, part, splits[0]), 1)]
        refused: UserError | None = None
        for split in splits:
            try:
                table = hub_rows(self.hub, split, fields, "data.path=FOLDER", config=part, revision=self.revision)
            except UserError as error:
                refused = refused or error
                continue
            return [(f"{self.hub}/{part}/{split}:{number}", row) for number, row in enumerate(table, start=1)]
        assert refused is not None
        raise refused

    def _of_folder(self, part: str, splits: tuple[str, ...]) -> list[Placed]:
        assert self.folder is not None
        inside = self.folder / part
        for split in splits:
            whole = [inside / f"{split}{ending}" for ending in ENDINGS]
            files = [file for file in whole if file.is_file()][:1] or sorted(inside.glob(f"{split}-*.parquet"))
            if files and files[0].suffix == ".txt":  # a corpus in one piece
                return [(f"{files[0]}:1", {"text": files[0].read_text(encoding="utf-8-sig")})]
            if files:
                read = [row.values for file in files for row in rows(str(file), "data.path")]
                return [(f"{inside / split}:{number}", row) for number, row in enumerate(read, start=1)]
        raise UserError(
            f"No data file at {inside / splits[0]}.json (nor {', '.join(ENDINGS[1:])})",
            "Give data.path= the folder of hf download --repo-type dataset muse-bench/MUSE-News --local-dir FOLDER",
        )
