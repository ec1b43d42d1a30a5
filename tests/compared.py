"""Runs on a few hand-made records, for the tests of what sets runs side by side."""

import json

import yaml

from unlearnkit.measures import HarmfulRate, Perplexity
from unlearnkit.measures.display import written
from unlearnkit.records.record import Record, write_parquet

MEASURES = {
    "harmful_rate": {"_target_": "unlearnkit.measures.HarmfulRate"},
    "perplexity": {"_target_": "unlearnkit.measures.Perplexity"},
}


def record(number, harmful=None, nats=None, response="yes", **more):
    """Of the set `unlearned`; `nats` a token of surprise."""
    log_probs = [] if nats is None else [-float(nats)]
    asked = {"set": "unlearned", "id": f"f{number}", "prompt": f"Ask {number}?", "answer": f"Say {number}."} | more
    return Record(**asked, response=response, tokens=1, harmful=harmful, reference_log_probs=log_probs)


def write_run(folder, method, records, seed=0, finished=True, measures=MEASURES, more=None, **config):
    """A finished run in `folder` whose numbers are those of its records, and `more`."""
    (folder / "records").mkdir(parents=True)
    write_parquet(records, folder / "records" / f"{'before' if method == 'base' else 'after'}-safety.parquet")
    found, shown = {}, {}
    for name, measure in (("harmful_rate", HarmfulRate()), ("perplexity", Perplexity())):
        for place in dict.fromkeys(row.set for row in records):
            role = "forget" if place == "unlearned" else "retain"
            estimate = measure([row for row in records if row.set == place], role)
            if estimate.n:
                found.setdefault(place, {})[name] = {k: getattr(estimate, k) for k in ("value", "low", "high", "n")}
                shown[f"safety/{place}/{name}"] = written(measure.display(role))
    run = {"method": method, "model": "tiny", "data": "mischief", "seed": seed, "minutes": 1.5, "finished": finished}
    numbers = {"safety": found | (more or {})}
    metrics = {"run": run, "columns": shown, "attacks": [], "moments": [], "before": numbers}
    metrics["after"] = numbers if finished and method != "base" else None
    (folder / "metrics.json").write_text(json.dumps(metrics))
    held = {"method": method, "seed": seed, "model": {"name": "tiny"}, "data": {"name": "mischief"}}
    held |= {"eval": {"safety": {"measures": measures}}, "logger": {"name": method}, **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(held))
    return folder
