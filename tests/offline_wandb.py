"""The records of an offline W&B file.

wandb 0.31 reads them in Go alone (its Python reader is gone), so this follows the LevelDB log format that it writes.
"""

import json
import struct
import time

from wandb.proto import wandb_internal_pb2

BLOCK = 32768  # of the LevelDB log format, after wandb's own 7-byte header


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


def whole(path, seconds=60):
    """`records` once the last is there: wandb's own process writes it some time after `finish`."""
    until = time.monotonic() + seconds
    while True:
        found = list(records(path))
        if found and found[-1].WhichOneof("record_type") in ("exit", "footer"):
            return found
        assert time.monotonic() < until, f"{path} has no end"
        time.sleep(0.1)


def named(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


class Offline:
    """What one finished run says: `run` (id, group, tags), `config`, `rows` logged, `summary`, `artifacts`, `axes`."""

    def __init__(self, path):
        self.path, self.rows, self.summary, self.artifacts, self.axes = path, [], {}, [], {}
        for record in whole(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run, self.config = record.run, named(record.run.config.update)
            elif kind == "history":
                self.rows.append(named(record.history.item))
            elif kind == "summary":
                self.summary |= named(record.summary.update)
            elif kind == "artifact":
                self.artifacts.append(record.artifact)
            elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
                self.artifacts.append(record.request.log_artifact.artifact)
            elif kind == "metric":
                self.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric

    def curve(self, name, over="step"):
        return [(row[over], row[name]) for row in self.rows if name in row]

    def table(self, name):
        """{columns, data} of a table as it lies beside the file."""
        (path,) = (self.path.parent / "files" / "media" / "table").glob(f"{name}_*.table.json")
        return json.loads(path.read_text())


def offline_runs(folder):
    """Every offline run below a folder, by the order of their names."""
    return sorted((Offline(path) for path in folder.rglob("run-*.wandb")), key=lambda found: found.run.display_name)
