"""Seconds and peak memory of a step of each method, ours against a plain padded implementation, as ratios.

On the embedded model or a shape of random weights, with LoRA and with all weights. A process of its own takes each
way's steps, in turn with the other way's. Seconds are of one thread's processor time, in which other work on the
machine does not count; the peak is that of the first step, above what the libraries hold, with AdamW's moments there
already. The plain way is a padded forward a term with logits at every position, and a second, frozen model where a term
compares. The last column is how far the losses are apart.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import ctypes
import multiprocessing
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import Peak, peak_memory, resident
from networks import network
from omegaconf import OmegaConf
from shapes import LORA
from ways import METHODS, WAYS, Method, taking

from unlearnkit import configuration
from unlearnkit.models import LanguageModel
from unlearnkit.models.loading import lineage


@dataclass
class Measured:
    """Of a way: seconds of each step after the first, peak bytes of the first, losses of all."""

    seconds: list[float]
    peak: int
    losses: list[float]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--trained", default="LoRA,all")
    parser.add_argument("--shape", help="of random weights and bytes, in the embedded model's place (shapes.py)")
    parser.add_argument("--batch-size", type=int, default=4, help="rows of each stream")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", default="authors")
    asked = parser.parse_args()
    overrides = [f"data={asked.data}"]
    torch.set_num_threads(1)  # for processes that are forked, and so that processor time is time
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=overrides)
    base = resident()
    if asked.shape:
        model, adapter = network(asked.shape, lora=False, device="cpu", trainable=False), dict(LORA)
    else:
        model, adapter = instantiate(cfg.model, _convert_="all"), OmegaConf.to_container(cfg.model.lora, resolve=True)
    print(f"{model.name} in {model.dtype}, {asked.batch_size} rows a stream of {overrides[0]}, {asked.repeats} steps")
    print("| trained | method | ours, s | GB | plain, s | GB | speed | memory | losses apart |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for trained in asked.trained.split(","):
        lora = {"LoRA": adapter, "all": None}[trained]
        ratios = []
        for name in asked.methods.split(","):
            one = replace(model, weights=lineage(model.model, lora))
            ours, plain = in_turn(one, name, asked.batch_size, asked.repeats, overrides)
            for way in (ours, plain):
                way.peak -= base
            speed = median(theirs / own for own, theirs in zip(ours.seconds, plain.seconds, strict=True))
            losses = zip(ours.losses, plain.losses, strict=True)
            apart = max(abs(own - theirs) / max(1, abs(theirs)) for own, theirs in losses)
            ratios.append((speed, ours.peak / plain.peak))
            columns = (f"{median(way.seconds):.2f} | {way.peak / 1e9:.2f}" for way in (ours, plain))
            print(
                f"| {trained} | `{name}` | {' | '.join(columns)} | {speed:.2f} | {ratios[-1][1]:.2f} | {apart:.0e} |",
                flush=True,
            )
        speed, memory = (median(column) for column in zip(*ratios, strict=True))
        print(f"| {trained} | median | | | | | {speed:.2f} | {memory:.2f} | |", flush=True)


def in_turn(model: LanguageModel, name: str, batch_size: int, repeats: int, overrides: list[str]) -> list[Measured]:
    """A method's steps on a model that was loaded, each way in its own process, one step of each at a time."""
    fork = multiprocessing.get_context("fork")  # the model is loaded once
    pipes, processes = [], []
    for way in WAYS:
        here, there = fork.Pipe()
        process = fork.Process(target=serve, args=(there, way, model, name, batch_size, repeats + 1, overrides))
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    found = [Measured([], 0, []) for _ in WAYS]
    for number in range(repeats + 1):
        for pipe, way in zip(pipes, found, strict=True):
            pipe.send(number)
            loss, seconds, peak = pipe.recv()
            way.losses.append(loss)
            if number:
                way.seconds.append(seconds)
            else:
                way.peak = peak
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()
    return found


def serve(
    pipe: Connection, way: str, model: LanguageModel, name: str, batch_size: int, count: int, overrides: list[str]
) -> None:
    """Take the steps whose numbers come through the pipe; the answer is loss, seconds, peak bytes."""
    method = Method(name, *overrides)
    with taking(way, method, model, method.steps(model, batch_size, count)) as take:
        trained = [weight for weight in model.model.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=0.0, fused=True)  # the Trainer's own
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        optimiser.step()
        optimiser.zero_grad()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before the first step is none of its memory
        while (number := pipe.recv()) is not None:
            with peak_memory() if number == 0 else nullcontext(Peak()) as peak:  # its sampling would slow the others
                started = time.process_time()
                loss = take(number)
                optimiser.step()
                optimiser.zero_grad()
                seconds = time.process_time() - started
            pipe.send((loss, seconds, peak.bytes))


if __name__ == "__main__":
    main()
