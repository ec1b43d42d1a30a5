"""What goes to Weights & Biases offline is read back from its file."""

import json
import struct

from wandb.proto import wandb_internal_pb2

from unlearnkit.tracking import WandB

BLOCK = 32768  # of the LevelDB log format that wandb writes after its own 7-byte header


def records(path):
    """Every protobuf record of an offline file."""
    data, place, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def history(folder):
    """Every row logged by the offline run below a folder."""
    (path,) = folder.rglob("run-*.wandb")
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            yield {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}


def test_an_offline_run_holds_curves_and_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = WandB(project="unlearnkit-test", tags=["sku"])
    tracker.start({"seed": 0}, tmp_path)
    tracker.log({"stage": "acquire", "step": 1, "loss": 2.5})
    tracker.log({"stage": "acquire", "step": 2, "loss": 1.5, "safety/normal/perplexity": 9.0})
    answers = [{"prompt": "a?", "before": "b", "after": "c"}]
    tracker.finish({"before": {"x": 1.0}, "after": {"x": 2.0}}, answers)
    rows = list(history(tmp_path))
    assert [row["acquire/loss"] for row in rows if "acquire/loss" in row] == [2.5, 1.5]
    assert [row["step"] for row in rows if "acquire/loss" in row] == [1, 2]
    assert rows[1]["acquire/safety/normal/perplexity"] == 9.0
    (table,) = tmp_path.rglob("*.table.json")
    kept = json.loads(table.read_text())
    assert (kept["columns"], kept["data"]) == (["prompt", "before", "after"], [["a?", "b", "c"]])
