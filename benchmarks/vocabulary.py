"""A LoRA step of SKU on random weights in the shape of Gemma 3 270M, whose vocabulary has 262,144 words.

Logits that stand whole against logits that are made some positions at a time, each in a process of its own. The losses
must agree; peak memory is above what the imports hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from statistics import median

import torch
from measure import peak_memory, resident
from networks import LORA, TEMPLATE, method, packed_steps
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit.models import LanguageModel, tiny
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.loading import lineage
from unlearnkit.models.precision import chosen
from unlearnkit.stages import passes as asked
from unlearnkit.stages.trainer import weighted_sum

GEMMA = {
    "vocab_size": 262144,
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "sliding_window": 512,
}
LENGTH = 200  # bytes of a prompt with its answer, which are this model's tokens


def once(steps: int, whole: bool) -> dict[str, object]:
    """Losses, seconds a step and bytes above the imports."""
    before = resident()
    torch.manual_seed(0)
    config = AutoConfig.for_model("gemma3_text", **GEMMA)
    dtype = chosen("auto", config)
    network = AutoModelForCausalLM.from_config(config, dtype=dtype)
    use_packed_attention(network)
    model = LanguageModel("gemma", tiny.tokenizer(), TEMPLATE, lineage(network.eval(), dict(LORA)), dtype)
    model.weights.make_trainable()
    model.model.train()
    stage, streams = method("sku")
    packed = packed_steps(stage, streams, model, stage.batch_size, steps, length=LENGTH)
    asked.STANDING = 2**62 if whole else 0
    made = asked.Passes(model, stage.terms)
    read, earlier = partial(made.read, model.model), partial(made.earlier, model.model)
    optimiser = torch.optim.AdamW([weight for weight in model.model.parameters() if weight.requires_grad], lr=0.0)
    losses, seconds, positions = [], [], []
    with peak_memory() as peak:
        for number in range(steps):
            started = time.perf_counter()
            step = packed[number]
            loss = weighted_sum(read, stage.terms, step, earlier)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(float(loss))
            seconds.append(time.perf_counter() - started)
            positions.append(sum(tokens for tokens, _ in step.totals.values()))
    return {
        "losses": losses,
        "seconds": median(seconds),
        "peak": peak.bytes - before,
        "positions": median(positions),
        "dtype": str(dtype),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--way", choices=["whole", "pieces"])
    options = parser.parse_args()
    if options.way:
        print(json.dumps(once(options.steps, options.way == "whole")))
        return
    found = {}
    for way in ("whole", "pieces"):
        command = [sys.executable, __file__, "--steps", str(options.steps), "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"{way:8} {found[way]['seconds']:.1f} s a step, {found[way]['peak'] / 1e9:.2f} GB over the imports")
    whole, pieces = found["whole"], found["pieces"]
    error = max(abs(a - b) / abs(b) for a, b in zip(pieces["losses"], whole["losses"], strict=True))
    print(f"{whole['positions']:.0f} answer positions a step in {whole['dtype']}; losses agree to {error:.1e}")
    print(f"speed, pieces / whole        {whole['seconds'] / pieces['seconds']:.2f}")
    print(f"peak memory, pieces / whole  {pieces['peak'] / whole['peak']:.2f}")


if __name__ == "__main__":
    main()
