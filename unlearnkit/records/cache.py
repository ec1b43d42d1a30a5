"""Records of an unchanged model are the same in every run of a sweep: answer and score once, keep by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlearnkit import ranks
from unlearnkit.cache import load_or_make
from unlearnkit.models.finite import refuse_odd
from unlearnkit.records.record import Record, read_parquet, write_parquet

ONE = "records"


def cached(content: dict[str, Any], compute: Callable[[], list[Record]]) -> list[Record]:
    """The records that `compute`, on every rank, made for the same content before, or makes now and keeps."""
    return cached_parts(content, lambda: {ONE: compute()})[ONE]


def cached_parts(content: dict[str, Any], compute: Callable[[], dict[str, list[Record]]]) -> dict[str, list[Record]]:
    """The same of several evaluations: name -> its records."""

    def make(folder: Path) -> None:
        parts = compute()
        refuse_odd()  # or the next run would find them here, and see no logits
        if ranks.is_first():
            for name, records in parts.items():
                write_parquet(records, folder / f"{name}.parquet")

    def read(folder: Path) -> dict[str, list[Record]]:
        return {file.stem: read_parquet(file) for file in sorted(folder.glob("*.parquet"))}

    return load_or_make("records", content, make, read, together=True)
