"""Rows of other people's data: from the hub, or from Parquet files of a download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from unlearnkit.errors import UserError, first_line


def hub_rows(
    hub: str,
    split: str,
    fields: list[str],
    setting: str,
    config: str | None = None,
    revision: str | None = None,
) -> list[dict[str, Any]]:
    """Those fields of every row of a hub data set's split.

    Args:
        setting: what to set to the folder of a download, for the error.

    Raises:
        UserError: the hub is out of reach and the data is not in its cache, or a field is missing.
    """
    from datasets import load_dataset  # a second, and only the hub's data need it
    from datasets.exceptions import DatasetsError

    try:
        rows = load_dataset(hub, config, split=split, revision=revision)
    except (OSError, ValueError, DatasetsError) as error:
        version = f" --revision {revision}" if revision else ""
        raise UserError(
            f"No data '{hub}' ({split}): {first_line(error)}",
            f"hf download --repo-type dataset {hub}{version} --local-dir FOLDER, then {setting}",
        ) from error
    if missing := [field for field in fields if field not in rows.column_names]:
        raise UserError(
            f"{hub} ({split}) has no field '{missing[0]}'; it has: {', '.join(rows.column_names)}",
            f"Choose a data set with the fields {', '.join(fields)}",
        )
    return rows.select_columns(fields).to_list()


def check_names(place: str, columns: Sequence[str]) -> None:
    """Refuse two columns of one name, of which a row would hold the last."""
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise UserError(f"{place}: two columns are called '{twice[0]}'", "Give each column a name of its own")


def parquet_rows(path: Path, fields: list[str]) -> Iterator[dict[str, Any]]:
    """Those fields of every row of a Parquet file; UserError for what is no such file or lacks a field."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            check_names(f"{path}", file.schema_arrow.names)
            if missing := [field for field in fields if field not in file.schema_arrow.names]:
                raise UserError(
                    f"{path} has no field '{missing[0]}'; it has: {', '.join(file.schema_arrow.names)}",
                    f"Give a file with the fields {', '.join(fields)}",
                )
            for batch in file.iter_batches(columns=fields):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(
            f"{path} is not a whole Parquet file: {first_line(error, 120)}", "Get the file again and check its size"
        ) from error
