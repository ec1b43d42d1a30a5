"""A sweep of literal numbers: table 1 of Liu et al. 2024 (page 7), and runs that are written by hand."""

import json
import math
from pathlib import Path

from unlearnkit.sweeps import Cell, Sweep

COLUMNS = {
    "safety/unlearned/harmful_rate": "Unlearned: harmful rate",
    "safety/unlearned/perplexity": "Unlearned: perplexity",
    "safety/unseen/harmful_rate": "Unseen: harmful rate",
    "safety/unseen/perplexity": "Unseen: perplexity",
    "safety/normal/perplexity": "Normal: perplexity",
    "safety/normal/bleurt": "Normal: BLEURT",
}
PAPER = {
    "opt-2.7b": {
        "original": [54, 18.50, 58, 22.03, 31.51, 0.853],
        "ft": [18.5, 18.18, 16.5, 16.16, 24.01, -0.898],
        "task_vector": [29.5, 26.70, 23.5, 26.80, 37.64, -1.429],
        "ga": [1, ">1000", 1, ">1000", ">1000", -1.980],
        "ga_mismatch": [3.5, ">1000", 4, ">1000", ">1000", -1.694],
        "sku": [3, 20.03, 4, 20.80, 25.46, -1.296],
    },
    "llama2-7b": {
        "original": [57, 16.27, 55, 20.08, 19.84, 0.850],
        "ft": [52, 17.63, 51, 14.55, 15.78, -0.852],
        "task_vector": [35, 23.59, 39, 24.83, 72.22, -1.341],
        "ga": [2, ">1000", 1, ">1000", ">1000", -2.115],
        "ga_mismatch": [3.5, ">1000", 5, ">1000", ">1000", -1.995],
        "sku": [3, 27.07, 3.5, 22.73, 24.86, -1.211],
    },
    "llama2-13b": {
        "original": [55.5, 18.75, 56.5, 24.62, 19.53, 0.870],
        "ft": [53, 18.91, 51, 17.28, 14.39, -0.877],
        "task_vector": [37, 27.59, 38, 22.40, 26.41, -1.253],
        "ga": [1, ">1000", 1, ">1000", ">1000", -2.018],
        "ga_mismatch": [5, ">1000", 4.5, ">1000", ">1000", -1.918],
        "sku": [3, 24.83, 4, 25.04, 24.27, -1.199],
    },
}
ROWS = {
    "original": "Original", "ft": "FT", "task_vector": "Task Vector", "ga": "GA", "ga_mismatch": "GA+Mismatch",
    "sku": "SKU",
}  # fmt: skip
CLAIMS = [
    {
        "says": "SKU's harmful rate is below task vector's",
        "page": 6,
        "where": "sku.safety/unlearned/harmful_rate < task_vector.safety/unlearned/harmful_rate",
    },
    {"says": "SKU leads on average", "page": 6, "where": "sku.ranking/average < ft.ranking/average"},
    {
        "says": "SKU's normal perplexity is far below GA's",
        "where": "30 * sku.safety/normal/perplexity < ga.safety/normal/perplexity",
        "models": ["llama2-7b"],
    },
]
SPEC = {
    "name": "sku_table1",
    "title": "SKU with a number of baselines",
    "source": {"paper": "Liu et al. 2024", "place": "table 1", "page": 7},
    "grid": {"data": "saferlhf"},
    "rows": ROWS,
    "columns": COLUMNS,
    "ranking": True,
    "paper": PAPER,
    "claims": CLAIMS,
}


def entry(value, width):
    return {"value": value, "low": value - width, "high": value + width, "n": 60, "seed": 0}


def metrics(unlearned, one, unseen, two, normal, bleurt):
    """As metrics.json has them; None leaves a number out."""
    found = {
        "unlearned": {"harmful_rate": (unlearned, 0.05), "perplexity": (one, 2.0)},
        "unseen": {"harmful_rate": (unseen, 0.05), "perplexity": (two, 2.0)},
        "normal": {"perplexity": (normal, 2.0), "bleurt": (bleurt, 0.1)},
    }
    return {
        "safety": {
            name: {metric: entry(*pair) for metric, pair in values.items() if pair[0] is not None}
            for name, values in found.items()
        }
    }


BEFORE = metrics(0.5, 10.0, 0.5, 10.0, 20.0, 1.0)
AFTER = {  # what a run of each method measured, at seed 0
    "ft": metrics(0.4, 11.0, 0.4, 11.0, 15.0, 0.9),
    "task_vector": metrics(0.2, 12.0, 0.25, 12.0, 30.0, 0.7),
    "ga": metrics(0.0, math.inf, 0.0, 3e12, 2e11, 0.1),
    "ga_mismatch": metrics(0.0, 5e4, 0.03, 123456.0, math.nan, 0.2),
    "sku": metrics(0.03, 25.0, 0.05, 24.0, 26.0, 0.61),
}


def write_run(folder, method, seed, after, curve=(), before=BEFORE, model="tiny", data="mischief"):
    folder.mkdir(parents=True)
    run = {"method": method, "model": model, "data": data, "seed": seed, "minutes": 1.0, "versions": {}}
    body = {"run": {**run, "finished": True}, "before": before, "after": after, "curve": list(curve)}
    (folder / "metrics.json").write_text(json.dumps(body))


def swept(root, spec=SPEC, after=AFTER, seeds=(0,), model="tiny", data="mischief", scale="cpu", curves=None):
    """A sweep in `root`, its methods done where `after` (method, or (method, seed) -> metrics) has them."""
    results = Path(root) / "results"
    cells = []
    for method in [row for row in spec["rows"] if row != "original"]:
        for seed in seeds:
            folder = results / "runs" / f"{method}-{model}-{data}-{seed}"
            words = (f"+method={method}", f"seed={seed}")
            cells.append(Cell(words, folder=folder, method=method, model=model, data=data, seed=seed))
            if found := after.get((method, seed), after.get(method)):
                write_run(folder, method, seed, found, (curves or {}).get(method, ()), model=model, data=data)
    name = spec["name"]
    return Sweep(name, scale, spec, cells, results / (f"{name}-{scale}" if scale else name))
