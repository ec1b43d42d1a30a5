"""What a run has come to, without its times: what is to be equal however often it was cut off."""

import hashlib
import json

TIMES = ("minutes", "peak_memory_gb")


def without_cost(held):
    """Plain data without the seconds and gigabytes of stages."""
    if isinstance(held, dict):
        return {key: without_cost(value) for key, value in held.items() if key != "cost"}
    return [without_cost(value) for value in held] if isinstance(held, list) else held


def outcome(folder):
    """File -> its bytes' hash; metrics.json and log.jsonl without times."""
    metrics = json.loads((folder / "metrics.json").read_text())
    for name in TIMES:
        metrics["run"].pop(name)
    found = {"metrics.json": json.dumps(without_cost(metrics), sort_keys=True)}
    for path in (*folder.glob("records/*"), folder / "generations.jsonl", *folder.glob("model/*.safetensors")):
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    found["log.jsonl"] = json.dumps(
        [[row["stage"], row["step"], row["loss"]] for row in rows if row["stage"] != "target"]
    )
    return found
