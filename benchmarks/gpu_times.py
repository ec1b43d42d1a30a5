"""How long is a step, ours and the plain way, and what does it hold? Seconds, peak memory and FLOPs on a device."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median_low
from typing import Any

import torch
from measure import flops, peak_memory
from networks import (
    llama,
    method,
    network,
    packed_steps,
    parameters,
    restriction,
    scored_examples,
    trained_parameters,
    unpacked,
)
from plain import plain_step

from unlearnkit.models import LanguageModel
from unlearnkit.models.attention import BLOCKS, FLEX, VARLEN, packed_attention
from unlearnkit.models.loading import lineage
from unlearnkit.records.forward import score
from unlearnkit.stages import Finetune
from unlearnkit.stages.passes import Passes
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import weighted_sum

# RMU comes last, for it confines what is trained of the model.
METHODS = {"sku": "SKU", "npo": "NPO", "ga_kl": "GA+KL", "grad_diff": "GradDiff", "rmu": "RMU"}
FEW = {"grad_diff": 3, "rmu": 3}  # steps at most, for time on a lent machine is short


@dataclass
class Timed:
    """One way of a step: median seconds, peak bytes, FLOPs of the median step, the first step's loss."""

    seconds: float
    peak: int
    flops: int
    loss: float


@dataclass
class Row:
    """A line of the table; a way is None where it does not fit the device, and `least` are the bytes it would hold."""

    shape: str
    lora: bool
    method: str
    batch: int
    tokens: int = 0  # in the packed row of the first step
    ours: Timed | None = None
    plain: Timed | None = None
    least: int = 0
    copied: bool = True  # the plain way's second model fits, or none is needed

    @property
    def name(self) -> str:
        return f"{self.shape} {'LoRA' if self.lora else 'full'} {METHODS[self.method]}, batch {self.batch}"


def device_memory(device: str) -> int:
    """Bytes the device has."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def least_memory(weights: int, lora: bool, compares: bool, trained: int | None = None) -> int:
    """Bytes that a step of ours holds besides activations: weights, gradients, AdamW's two moments, a frozen copy.

    Args:
        trained: how many of the weights, where it is not all.
        compares: a term needs the reference's logits, which under full weights a frozen copy in 16 bits gives.
    """
    if lora:
        return 2 * weights
    return weights * (4 + 2 * compares) + 12 * (weights if trained is None else trained)


def rows(shape: str, lora: bool, device: str, batch: int, count: int, length: int = 4096) -> Iterator[Row]:
    """A row a method and batch: where not both ways fit, half the batch is tried too.

    Args:
        length: tokens that an example may have; longer answers are cut.
    """
    fits, model, size = device_memory(device), None, parameters(shape)
    for name in METHODS:
        stage, _ = method(name)
        restrict = restriction(name)
        compares = any(term.needs_reference for term in stage.terms.values())
        least = least_memory(size, lora, compares, trained_parameters(shape, restrict))
        if least < fits and model is None:
            model = _fitting(lambda: network(shape, lora, device))
        if least >= fits or model is None:
            yield Row(shape, lora, name, batch, least=least)
            continue
        if not restrict.everything:
            if not lora:
                model.weights = lineage(model.model, None)  # begins its training here
            restrict.limit(model)
        tried = batch
        while True:
            row = Row(shape, lora, name, tried)
            _fill(row, model, device, min(count, FEW.get(name, count)), length)
            yield row
            if row.plain is not None or not row.copied or tried == 1:
                break
            tried //= 2


@dataclass
class AttentionTimes:
    """Milliseconds of one layer's attention, forward and backward, over the row of a SKU step."""

    shape: str
    tokens: int
    blocks: float
    varlen: float
    flex: float


def attention_times(shape: str, device: str, batch: int, count: int, length: int = 4096) -> AttentionTimes:
    """Of rows that are new each time, as in training; what a row gives all layers is there already."""
    config, dtype = llama(shape), torch.bfloat16
    stage, streams = method("sku")
    model = network("100K", True, "cpu")
    steps = packed_steps(stage, streams, model, batch, count + 1, length)
    rows = [steps[number].row(steps.streams) for number in range(count + 1)]
    heads, keys = config.num_attention_heads, config.num_key_value_heads or config.num_attention_heads
    width = config.hidden_size // heads
    found = {}
    for way in (BLOCKS, VARLEN, FLEX):
        seconds = []
        for row in rows:
            sizes = [(1, n, row.input_ids.numel(), width) for n in (heads, keys, keys)]
            tensors = [torch.randn(size, device=device, dtype=dtype, requires_grad=True) for size in sizes]
            for _ in range(2):
                torch.cuda.synchronize()
                started = time.perf_counter()
                packed_attention(torch.nn.Identity(), *tensors, None, layout=row.layout, way=way)[0].sum().backward()
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        found[way] = 1e3 * median_low(seconds[1:])  # the first loads kernels
    return AttentionTimes(shape, rows[-1].input_ids.numel(), **found)


def _fill(row: Row, model: LanguageModel, device: str, count: int, length: int) -> None:
    stage, streams = method(row.method)
    steps = packed_steps(stage, streams, model, row.batch, count, length)
    terms = stage.terms
    optimiser = adamw(model)
    row.tokens = steps[0].row(steps.streams).input_ids.numel()
    second: Any = None
    ours, passes = packed_way(model, stage, steps, device)

    def plain(number: int) -> float:
        with model.computing():
            return plain_step(model.model, second, unpacked(steps, number), terms, 0, device)

    row.ours = _fitting(lambda: _timed(ours, optimiser, device, count), optimiser)
    if row.ours is not None:
        passes.references.clear()  # what the plain way has of its own
        compares = any(term.needs_reference or term.needs_reference_log_probs for term in terms.values())
        second = _fitting(lambda: frozen(model), optimiser) if compares else None
        row.copied = second is not None or not compares
        row.plain = row.copied and _fitting(lambda: _timed(plain, optimiser, device, count), optimiser) or None


def adamw(model: LanguageModel) -> torch.optim.Optimizer:
    """The Trainer's own, over what is trained; it moves nothing."""
    return torch.optim.AdamW([weight for weight in model.model.parameters() if weight.requires_grad], 0.0, fused=True)


def packed_way(
    model: LanguageModel, stage: Finetune, steps: Steps, device: str
) -> tuple[Callable[[int], float], Passes]:
    """The packed step by its number, forward and backward, which returns its loss; and its passes.

    What terms need of the reference's log-probabilities is scored here, once before training.
    """
    examples = scored_examples(stage, steps)
    with model.current() as network:
        scores = score(network, examples) if examples else []
    steps.scored = {"start": {example: sum(one.log_probs) for example, one in zip(examples, scores, strict=True)}}
    passes = Passes(model, stage.terms)
    read, earlier = partial(passes.read, model.model), partial(passes.earlier, model.model)

    def ours(number: int) -> float:
        loss = weighted_sum(read, stage.terms, steps[number].to(device), earlier)
        loss.backward()
        return loss.item()

    return ours, passes


def frozen(model: LanguageModel) -> Any:
    """The plain way's second model: the base under LoRA, else a copy."""
    with model.weights.loaded() if model.weights.lora else nullcontext(model.model) as network:
        return copy.deepcopy(network).requires_grad_(False).eval()


def _fitting(make: Callable[[], Any], optimiser: torch.optim.Optimizer | None = None) -> Any:
    """What `make` makes, or None where the device's memory does not hold it."""
    try:
        return make()
    except torch.OutOfMemoryError:
        if optimiser is not None:
            optimiser.zero_grad()
    finally:
        free()
    return None


def free() -> None:
    """Give back what nothing holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _timed(step: Callable[[int], float], optimiser: torch.optim.Optimizer, device: str, count: int) -> Timed:
    """Steps 0 .. count - 1 of `step`, which returns its loss, with the optimiser's."""
    gpu = device == "cuda"

    def whole(number: int) -> float:
        loss = step(number)
        optimiser.step()
        optimiser.zero_grad()
        if gpu:
            torch.cuda.synchronize()
        return loss

    loss = whole(0)
    if gpu:
        whole(0)  # kernels are chosen and memory is laid out by now
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    # Sampling a process's memory would slow the thread that feeds a GPU, which keeps its own count.
    with contextlib.nullcontext() if gpu else peak_memory() as sampled:
        for number in range(count):
            started = time.perf_counter()
            whole(number)
            seconds.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() if gpu else sampled.bytes
    middle = median_low(seconds)
    return Timed(middle, peak, flops(lambda: whole(seconds.index(middle))), loss)
