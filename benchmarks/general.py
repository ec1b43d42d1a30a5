"""The general tasks against lm-eval's own command line: same model, same rows, same tasks, requests a second.

`python benchmarks/general.py DATA_DIR --limit 4`. Each in a fresh process, and loading is timed apart. The command
line is the harness's `run`, on the folder of tasks that `eval.general.data_dir` generates.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import peak_memory, resident

from unlearnkit import configuration
from unlearnkit.data.examples import Data
from unlearnkit.evaluations.base import Point

MODEL = "smollm2-135m"


def processor_seconds(process: int | str = "self") -> float:
    """Of all threads of a process, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(folder: str, names: list[str], limit: int, batch: str) -> dict:
    """Seconds and bytes of `General.measure` on a loaded model, its requests and its numbers."""
    configuration.register_resolvers()
    settings = {"data_dir": folder, "tasks": f"[{','.join(names)}]", "limit": limit, "batch_size": batch}
    overrides = [f"model={MODEL}", "eval=general", *(f"eval.general.{key}={value}" for key, value in settings.items())]
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=overrides)
    general = instantiate(cfg.eval.general, _convert_="all")
    general.bind("general", Data("none", {}))
    model = instantiate(cfg.model, _convert_="all")
    loaded = resident()
    started, used = time.perf_counter(), processor_seconds()
    with peak_memory() as peak:
        records = general.measure(model, Point("test"), [])  # as after a stage: never from the cache
    seconds, used = time.perf_counter() - started, processor_seconds() - used
    requests = sum(len(task.instances) for task in general.loaded.tasks.values())
    weights = sum(p.numel() * p.element_size() for p in model.model.parameters())
    numbers = general.compute(records)
    return {
        "seconds": seconds,
        "processor": used,
        "requests": requests,
        "extra": peak.bytes - loaded,
        "weights": weights,
        "source": model.source,
        "dtype": str(model.model.dtype).removeprefix("torch."),
        "acc": {name: numbers[name]["acc"]["value"] for name in names},
    }


def theirs(folder: Path, names: list[str], limit: int, source: str, dtype: str, batch: str) -> dict:
    """Seconds of the command line from its first request to its last, and its numbers."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"]
        command += ["--model_args", f"pretrained={source},dtype={dtype}", "--tasks", ",".join(names)]
        command += ["--include_path", str(folder), "--limit", str(limit), "--batch_size", batch, "--output_path", out]
        # Unbuffered, so that the moment of its own line "Running loglikelihood requests" is seen as it comes.
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            seen = b""
            started: tuple[float, float] | None = None
            ended: tuple[float, float] | None = None
            while piece := os.read(process.stderr.fileno(), 65536):
                seen += piece
                if not started and b"Running loglikelihood requests" in seen:
                    started = time.perf_counter(), processor_seconds(process.pid)
                bar = seen.rpartition(b"Running loglikelihood requests:")
                if started and not ended and bar[1] and b"100%" in bar[2]:
                    ended = time.perf_counter(), processor_seconds(process.pid)
        if process.returncode or not (started and ended):
            raise SystemExit(seen.decode()[-2000:])
        (path,) = Path(out).rglob("results_*.json")
        results = json.loads(path.read_text())["results"]
    acc = {name: results[name]["acc,none"] for name in names}
    return {"seconds": ended[0] - started[0], "processor": ended[1] - started[1], "acc": acc}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--batch", default="8", help="of the harness's padded batches")
    parser.add_argument("--tasks", nargs="+")
    args = parser.parse_args()
    from unlearnkit.general.local import FILES, generate

    names = args.tasks or list(FILES)
    folder = generate(args.data_dir, names)
    fresh = multiprocessing.get_context("spawn")
    found = {}
    for batch in ("auto", args.batch):
        with fresh.Pool(1) as process:
            found[batch] = process.apply(ours, (str(args.data_dir), names, args.limit, batch))
    first = found["auto"]
    other = theirs(folder, names, args.limit, first["source"], first["dtype"], args.batch)
    count = first["requests"]
    print(f"{count} requests, weights {first['weights'] / 1e9:.2f} GB")
    print(f"lm_eval run --batch_size {args.batch}: {told(other, count)}")
    for batch, run in found.items():
        worst = max(abs(run["acc"][name] - other["acc"][name]) for name in names)
        ratios = [other[key] / run[key] for key in ("seconds", "processor")]
        print(f"ours, batch_size={batch}: {told(run, count)}")
        print(f"  {ratios[0]:.2f} of their rate by the clock, {ratios[1]:.2f} by the processor's time")
        print(f"  peak {run['extra'] / 1e9:.2f} GB above the loaded model; scores differ by at most {worst:.1e}")


def told(run: dict, requests: int) -> str:
    return (
        f"{run['seconds']:.1f} s ({run['processor']:.1f} of the processor), {requests / run['seconds']:.2f} requests/s"
    )


if __name__ == "__main__":
    main()
