"""Rows from Parquet files and from the hub, by named fields."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unlearnkit.data.sources import hub_rows, parquet_rows
from unlearnkit.errors import UserError


def test_the_named_fields_of_a_parquet_file(tmp_path):
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"prompt": ["a", "b"], "extra": [1, 2]}), path)
    assert list(parquet_rows(path, ["prompt"])) == [{"prompt": "a"}, {"prompt": "b"}]
    with pytest.raises(UserError, match="has no field 'response'; it has: prompt, extra"):
        list(parquet_rows(path, ["response"]))


def test_a_broken_parquet_file(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(UserError, match="is not a whole Parquet file"):
        list(parquet_rows(tmp_path / "train.parquet", ["prompt"]))


def test_a_hub_out_of_reach_names_the_download(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hf download --repo-type dataset nobody/nothing"):
        hub_rows("nobody/nothing", "train", ["prompt"], "data.path=FOLDER")
