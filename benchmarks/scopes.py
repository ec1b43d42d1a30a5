"""MemFlex's step against GA+GD's, and one teacher-forced pass for all metrics, on the embedded model and `authors`.

Each in a fresh process, so that memory one leaves behind is not counted to the other. The adapter's B is drawn at
random in place of a taught target: the cost is the same.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import ctypes
import gc
import multiprocessing
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import peak_memory

from unlearnkit import configuration
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.models.packing import Tokenise
from unlearnkit.records.forward import score
from unlearnkit.runs.checks import bind_streams
from unlearnkit.stages.base import Context
from unlearnkit.stages.passes import Passes
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import weighted_sum


def composed(method: str):
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        return compose("config", overrides=[f"+method={method}", "data=authors"])


def prepared(cfg, folder: Path):
    """A model whose adapter is not zero, located if the method does."""
    data = instantiate(cfg.data, _convert_="all")
    streams = bind_streams(data, {})
    model = instantiate(cfg.model, _convert_="all")
    model.weights.make_trainable()
    torch.manual_seed(0)
    for name, parameter in model.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    stages = instantiate(cfg.stages, _convert_="all")
    if "locate" in stages:
        stages["locate"].copies, stages["locate"].rows = 1, 8
        stages["locate"](model, Context(streams, 0, folder, stage="locate"))
    return data, streams, model, stages["finetune"]


def timed_steps(method: str, count: int, folder: Path) -> tuple[float, int]:
    """(seconds a step, peak bytes) of forward, backward and optimiser."""
    configuration.register_resolvers()
    cfg = composed(method)
    _, streams, model, stage = prepared(cfg, folder)
    tokenise = Tokenise(lambda p, r: model.template.encode(model.tokenizer, p, r), model.max_length)
    used = {term.stream: streams[term.stream] for term in stage.terms.values()}
    steps = Steps(used, tokenise, seed=0, batch_size=stage.batch_size, max_steps=count)
    trainable = [parameter for parameter in model.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=0.0)
    model.model.train()
    passes = Passes(model, stage.terms)

    def step(number: int) -> None:
        weighted_sum(partial(passes.read, model.model), stage.terms, steps[number], passes.earlier).backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        optimiser.zero_grad()

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what `locate` freed is not the step's
    with peak_memory() as peak:
        step(0)
        step(1)
    seconds = []
    for number in range(count):
        started = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - started)
    return median(seconds), peak.bytes


def metrics_against_a_forward(folder: Path) -> tuple[float, float]:
    """Seconds of every teacher-forced metric of a split, and of one packed forward over it."""
    cfg = composed("ga")
    data, _, model, _ = prepared(cfg, folder)
    evaluations = Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)
    records = evaluations.measure(model, Point("validation", curve=True), {"scopes": []})["scopes"]
    tokens = [
        tuple(map(tuple, model.template.encode(model.tokenizer, record.prompt, record.answer))) for record in records
    ]
    ours, bare = [], []
    for _ in range(3):
        started = time.perf_counter()
        evaluations.compute(evaluations.measure(model, Point("validation", curve=True), {"scopes": []}))
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        score(model.model, tokens)
        bare.append(time.perf_counter() - started)
    return median(ours), median(bare)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    count = parser.parse_args().steps
    configuration.register_resolvers()
    with tempfile.TemporaryDirectory() as folder:
        fresh = multiprocessing.get_context("spawn")
        runs = {}
        for name in ("ga_gd", "memflex"):
            with fresh.Pool(1) as process:
                runs[name] = process.apply(timed_steps, (name, count, Path(folder)))
        metrics, forward = metrics_against_a_forward(Path(folder))
    for name, (seconds, peak) in runs.items():
        print(f"{name:28} {seconds:.3f} s a step, {peak / 1e9:.2f} GB")
    print(f"speed, memflex / ga_gd       {runs['ga_gd'][0] / runs['memflex'][0]:.2f}")
    print(f"peak memory, memflex / ga_gd {runs['memflex'][1] / runs['ga_gd'][1]:.2f}")
    print(f"all teacher-forced metrics   {metrics:.2f} s, {metrics / forward:.2f} of one forward over the split")


if __name__ == "__main__":
    main()
