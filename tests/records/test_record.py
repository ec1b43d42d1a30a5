"""Records go to parquet and come back."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from unlearnkit.records.record import Record, read_parquet, records_path, write_parquet

FULL = Record(
    set="unlearned",
    id="f1",
    prompt="How, “exactly”?\n",
    response="naïve 日本\n",
    tokens=7,
    ended=True,
    category="exam_cheating",
    reference_log_probs=[-0.1, -1234.5678901234567],
    answer_log_probs=[-2.5],
    similarity=0.1 + 0.2,
    harmful=False,
    kind="refusal",
    why="it refuses",
)


def test_round_trip(tmp_path):
    records = [FULL, Record("unseen", "u1", "p"), Record("normal", "n1", "q", harmful=True, similarity=-1.0)]
    write_parquet(records, tmp_path / "records.parquet")
    assert read_parquet(tmp_path / "records.parquet") == records


def test_round_trip_of_unfilled_records(tmp_path):
    records = [Record("unseen", "u1", "p"), Record("unseen", "u2", "q")]
    write_parquet(records, tmp_path / "records.parquet")
    assert read_parquet(tmp_path / "records.parquet") == records


def test_columns_are_the_fields(tmp_path):
    write_parquet([FULL], tmp_path / "records.parquet")
    table = pq.read_table(tmp_path / "records.parquet")
    assert table.column_names == list(Record.__dataclass_fields__)


def test_no_records(tmp_path):
    write_parquet([], tmp_path / "records.parquet")
    assert read_parquet(tmp_path / "records.parquet") == []


@pytest.mark.parametrize(
    ("when", "name"),
    [
        ("before", "before-safety.parquet"),
        ("after", "after-safety.parquet"),
        ("system", "system-safety.parquet"),
        ("system/start", "system.start-safety.parquet"),
    ],
)
def test_where_a_run_keeps_its_records(when, name):
    assert records_path(Path("run"), when, "safety") == Path("run", "records", name)
