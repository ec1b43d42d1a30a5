"""An early end of a pass: forward, and forward and backward, of one packed row up to a layer against the whole model.

Random weights of the embedded model's shape (30 layers); what is trained are the second MLP matrices of three layers,
as RMU has it. Medians of alternated repetitions.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from networks import network

from unlearnkit.models.packing import Packed, pack
from unlearnkit.models.reading import Outputs, read


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layer", type=int, default=7)
    parser.add_argument("--shape", default="135M")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128, help="of each of two examples")
    asked = parser.parse_args()
    model = network(asked.shape, lora=False, device="cuda" if torch.cuda.is_available() else "cpu")
    chosen = [f"layers.{asked.layer - back}.mlp.down_proj" for back in range(3)]
    for name, weight in model.model.named_parameters():
        weight.requires_grad_(any(part in name for part in chosen))
    prompt, answer = tuple(range(asked.tokens // 2)), tuple(range(100, 100 + asked.tokens // 2))
    examples = [((number, *prompt), answer) for number in range(2)]
    row = pack({"forget": examples}).to(model.device)
    ways = {"early": Outputs(False, frozenset({asked.layer})), "whole": Outputs(True, frozenset({asked.layer}))}
    seconds: dict[str, list[float]] = {f"{name} {part}": [] for name in ways for part in ("forward", "both")}
    for _ in range(asked.repeats + 1):
        for name, wanted in ways.items():
            with model.computing():
                with torch.no_grad():
                    seconds[f"{name} forward"].append(_timed(partial(read, model.model, row, wanted)))
                step = partial(_backward, model.model, row, wanted, asked.layer)
                seconds[f"{name} both"].append(_timed(step))
    depth, tokens = model.model.config.num_hidden_layers, row.input_ids.numel()
    print(f"a row of {tokens} tokens, {asked.shape}, to layer {asked.layer} of {depth} ({model.dtype})")
    for part in ("forward", "both"):
        early, whole = (median(seconds[f"{name} {part}"][1:]) for name in ways)  # the first warms up
        print(f"{part:8} early {early:.3f} s, whole {whole:.3f} s, ratio {early / whole:.2f}")


def _backward(network: Any, row: Packed, wanted: Outputs, layer: int) -> None:
    made = read(network, row, wanted)
    loss = made.state(layer).float().square().mean()
    if made.logits is not None:
        loss = loss + torch.nn.functional.cross_entropy(made.logits.float(), row.labels)
    loss.backward()


def _timed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
