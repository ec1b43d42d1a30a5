"""A SKU step on the embedded model and data: ours against the plain way, in one process, as ratios.

Plain: a padded forward for each term, logits at every position, a second, frozen model as the reference (what the
paper's code does). Ours: one packed row, prompts shared, logits at answers, the reference by disabled adapter.
Both train the same LoRA adapter on the same examples of the same steps and must agree on the loss.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import time
from functools import partial
from statistics import median
from types import SimpleNamespace

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import matmul_rate, peak_memory
from plain import plain_step
from torch.utils.flop_counter import FlopCounterMode

from unlearnkit import configuration
from unlearnkit.models.packing import Tokenise
from unlearnkit.runs.checks import bind_streams
from unlearnkit.stages.passes import Passes
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import weighted_sum


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6)
    steps_wanted = parser.parse_args().steps
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["+method=sku"])
    data = instantiate(cfg.data, _convert_="all")
    streams = bind_streams(data, instantiate(cfg.streams, _convert_="all"))
    stage = instantiate(cfg.stages.acquire, _convert_="all")
    model = instantiate(cfg.model, _convert_="all")
    model.weights.make_trainable()
    model.model.train()
    encode = lambda prompt, response: model.template.encode(model.tokenizer, prompt, response)  # noqa: E731
    steps = Steps(
        {term.stream: streams[term.stream] for term in stage.terms.values()},
        Tokenise(encode, model.max_length),
        seed=0,
        batch_size=stage.batch_size,
        max_steps=steps_wanted,
    )
    raw = [
        {
            name: [steps.tokenise(e) for g in streams[name].draw(0, n, stage.batch_size) for e in g]
            for name in steps.streams
        }
        for n in range(steps_wanted)
    ]
    optimiser = torch.optim.AdamW([p for p in model.model.parameters() if p.requires_grad], lr=0.0)
    passes = Passes(model, stage.terms)
    read, earlier = partial(passes.read, model.model), partial(passes.earlier, model.model)

    def ours(number: int) -> float:
        step = steps[number]
        loss = weighted_sum(read, stage.terms, step, earlier)
        loss.backward()
        return float(loss)

    def plain(number: int) -> float:
        with model.computing():
            return plain_step(model.model, frozen, raw[number], stage.terms, model.tokenizer.pad_token_id)

    def timed(step) -> SimpleNamespace:
        losses, seconds = [], []
        with peak_memory() as peak:  # apart from the timing, which the sampling would slow
            step(0)
            optimiser.step()
            optimiser.zero_grad()
            step(1)
            optimiser.zero_grad()
        for number in range(steps_wanted):
            started = time.perf_counter()
            losses.append(step(number))
            optimiser.step()
            optimiser.zero_grad()
            seconds.append(time.perf_counter() - started)
        return SimpleNamespace(losses=losses, seconds=median(seconds), peak=peak.bytes)

    packed = timed(ours)
    with FlopCounterMode(display=False) as counter:
        ours(0)
    optimiser.zero_grad()
    model.model.eval()
    frozen = instantiate(cfg.model, _convert_="all").model  # the second model of the plain way
    model.model.train()
    padded = timed(plain)

    error = max(abs(a - b) / abs(b) for a, b in zip(packed.losses, padded.losses, strict=True))
    examples = sum(len(rows) for rows in raw[0].values())
    dtype = model.dtype
    rate, own, bf16 = (
        counter.get_total_flops() / packed.seconds,
        matmul_rate(dtype),
        matmul_rate(torch.bfloat16),
    )
    print(f"examples a step          {examples}, losses agree to {error:.1e}")
    for name, way in (("ours", packed), ("plain", padded)):
        print(f"{name:24} {way.seconds:.2f} s, {examples / way.seconds:.2f} examples/s, {way.peak / 1e9:.2f} GB")
    print(f"speed, ours / plain      {padded.seconds / packed.seconds:.2f}")
    print(f"peak memory, ours/plain  {packed.peak / padded.peak:.2f}")
    print(f"rate  {rate / 1e12:.3f} TFLOP/s: {rate / own:.0%} of a {dtype} matmul, {rate / bf16:.0%}")
    print("                         of a bf16 matmul")


if __name__ == "__main__":
    main()
