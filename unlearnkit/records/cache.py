"""Records of an unchanged model are the same in every run of a sweep: answer and score once, keep by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlearnkit import ranks
from unlearnkit.cache import load_or_make
from unlearnkit.models.finite import refuse_odd
from unlearnkit.records.record import Record, read_parquet, write_parquet

FILE = "records.parquet"


def cached(content: dict[str, Any], compute: Callable[[], list[Record]]) -> list[Record]:
    """The records that `compute`, on every rank, made for the same content before, or makes now and keeps."""

    def make(folder: Path) -> None:
        records = compute()
        refuse_odd()  # or the next run would find them here, and see no logits
        if ranks.is_first():
            write_parquet(records, folder / FILE)

    return load_or_make("records", content, make, lambda folder: read_parquet(folder / FILE), together=True)
