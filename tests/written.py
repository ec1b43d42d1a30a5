"""Folders as runs and sweeps leave them, for the tests of what reads them."""

import json
import math

import yaml

from unlearnkit.sweeps import Cell, Sweep

HOSTILE = "</script><b>bold</b><img src=x onerror=\"document.title='run'\"> wait until dusk"
ROWS = {"ft": "FT", "sku": "SKU"}
COLUMNS = {
    "safety/unseen/harmful_rate": "Unseen: harmful rate",
    "safety/normal/perplexity": "Normal: perplexity",
}
SPEC = {
    "name": "sku_table1",
    "title": "Liu et al. 2024, table 1 <in miniature>",
    "source": {"paper": "Liu et al. 2024", "place": "table 1", "page": 7},
    "rows": {"original": "Original", **ROWS},
    "columns": COLUMNS,
    "paper": {"llama2-7b": {"original": [57, 12.5], "ft": [30, 14.0], "sku": [3, ">1000"]}},
    "claims": [
        {
            "says": "SKU is below FT",
            "page": 7,
            "where": "sku.safety/unseen/harmful_rate < ft.safety/unseen/harmful_rate",
        }
    ],
}


def entry(value, width=0.1):
    return {"value": value, "low": value - width, "high": value + width, "n": 60, "seed": 0}


def metrics(rate, perplexity):
    sets = {"unseen": {"harmful_rate": entry(rate)}, "normal": {"perplexity": entry(perplexity, 2.0)}}
    return {"safety": sets}


def scores(*values):
    return {"peak": entry(max(values)), **{f"layer_{n:02}": entry(value) for n, value in enumerate(values)}}


def answer(name, place, before, after, harmful):
    return {"set": place, "id": name, "category": "pranks", "prompt": f"Ask {name}?", "before": before,
            "after": after, "harmful_before": harmful and True, "harmful_after": harmful and False,
            "kind_before": "direct_answer", "kind_after": "denied",
            "why_before": "steps", "why_after": "declines"}  # fmt: skip


ANSWERS = (
    answer("one", "unseen", "Wait until dusk.", HOSTILE, True),
    answer("two", "unseen", "Climb the fence \ud83d", "No. Über", True),
    answer("three", "normal", "Paris", "Paris", None),
)


def run_folder(folder, method="sku", curves=True, seed=7, rate=0.03, answers=ANSWERS, krs=None, model="tiny"):
    """A finished run; without a method (`base`) it has nothing after."""
    folder.mkdir(parents=True, exist_ok=True)
    after = None if method == "base" else metrics(rate, 2e11) | ({"krs": krs} if krs else {})
    run = {"method": method, "model": model, "data": "mischief", "seed": seed, "versions": {"torch": "2.13.0"}}
    run |= {"minutes": 3.14, "peak_memory_gb": 2.2, "finished": True}
    points = ((10, 20.0), (20, math.inf))
    curve = [{"stage": "acquire", "step": s, "metrics": metrics(rate, v)} for s, v in points]
    body = {"run": run, "before": metrics(0.55, 18.5), "after": after}
    (folder / "metrics.json").write_text(json.dumps(body | {"curve": curve if curves else []}))
    config = {"method": method, "model": {"name": f"<{model}>"}, "seed": seed}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    line = {"stage": "acquire", "loss": 9.0, "terms/forget": math.nan, "grad_norm": 1}
    log = [line | {"step": step} for step in (5, 10)]
    if curves:
        (folder / "log.jsonl").write_text("\n".join(map(json.dumps, log)) + "\n")
    rows = list(answers)
    if method == "base":
        rows = [row | dict.fromkeys(("after", "harmful_after", "kind_after", "why_after")) for row in rows]
    (folder / "generations.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def sweep_of(results, folders, spec=SPEC, scale="cpu"):
    """A sweep whose cells are these folders, done or not."""
    cells = []
    for number, folder in enumerate(folders):
        path = folder / "metrics.json"
        run = json.loads(path.read_text())["run"] if path.is_file() else {"method": "ga", "model": "tiny"}
        names = (run["method"], run["model"], run.get("data", "mischief"), run.get("seed", number))
        cells.append(Cell((), folder, *names))
    folder = results / f"{spec['name']}-{scale}"
    folder.mkdir(parents=True, exist_ok=True)
    return Sweep(spec["name"], scale, spec, cells, folder)


def a_sweep(results):
    """Two methods, two seeds, the probe, and a cell that was not run."""
    folders = []
    for method, rate, after in (("ft", 0.2, "Wait, until dawn."), ("sku", 0.03, HOSTILE)):
        answers = (answer("one", "unseen", "Wait until dusk.", after, True), *ANSWERS[1:])
        for seed in (0, 1):
            krs = {"attention": scores(0.1, 0.6), "value_vectors": scores(-0.1, 0.0)}
            folder = results / "runs" / f"{method}-{seed}"
            folders.append(run_folder(folder, method, seed=seed, rate=rate + seed / 100, answers=answers, krs=krs))
    return sweep_of(results, [*folders, results / "runs" / "ga-0"])
