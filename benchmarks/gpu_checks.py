"""Is what is computed on a device right? Every loss and its gradients against the CPU, and what training begins with.

Both are functions of a folder with weights, so that tests call them on what they like.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from networks import TEMPLATE, method, packed_steps, scored_examples
from shapes import LORA

from unlearnkit.data.streams import Preferences
from unlearnkit.losses import (
    CEU,
    DPO,
    KL,
    NLL,
    NPO,
    UNDIAL,
    WGA,
    Adversarial,
    Constrained,
    InvertedHinge,
    KeepStates,
    KLAsPublished,
    LogitFlattening,
    Loss,
    RandomLabels,
    SatImp,
    SimNPO,
    Steer,
)
from unlearnkit.models import LanguageModel, load_source
from unlearnkit.models.attention import BLOCKS, FLEX, VARLEN, packed_attention
from unlearnkit.models.layout import Layout, Piece
from unlearnkit.stages.base import Context
from unlearnkit.stages.passes import Passes
from unlearnkit.stages.reference import reference_log_probs
from unlearnkit.stages.trainer import weighted_sum

TERMS: dict[str, Loss] = {
    "NLL": NLL("forget"),
    "NLL over answers": NLL("mismatched", 2.5, mean="answers"),
    "NLL over the step": NLL("forget", mean="step"),
    "NLL ascended": NLL("forget", -1.0),
    "KL": KL("retain"),
    "KL ascended": KL("retain", -0.5),
    "KL as published": KLAsPublished("retain", length=96),
    "DPO": DPO("preferences"),
    "NPO": NPO("forget"),
    "Adversarial": Adversarial("retain"),
    "RandomLabels": RandomLabels("mismatched"),
    "SimNPO": SimNPO("forget", margin=0.5),
    "UNDIAL": UNDIAL("forget"),
    "CEU": CEU("forget"),
    "InvertedHinge": InvertedHinge("forget"),
    "WGA": WGA("forget"),
    "SatImp": SatImp("forget"),
    "LogitFlattening": LogitFlattening("forget"),
    "Constrained": Constrained("retain", epsilon=1.0),
    "Steer": Steer("forget", 0.2, coefficient=6.5),
    "Steer at all tokens": Steer("mismatched", 0, coefficient=2.0, at="all"),
    "KeepStates": KeepStates("retain", 0.2, weight=1200.0),
}
# How much less exact a gradient may be: CE-U's is p - q, a small difference of two numbers where the token is unlikely.
LOOSER = {"CEU": 10}
# Of two equal models: method -> {term: value}.
STARTS = {
    "npo": {"forget": 2 * math.log(2) / 0.1},
    "dpo": {"preferences": math.log(2)},
    "ga_kl": {"retain": 0.0},
}


@dataclass(frozen=True)
class Check:
    """One thing that was compared: `error` is relative, or absolute where 0 is expected; NaN passes nothing."""

    name: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.error <= self.limit


# A kernel, what it computes in, how far it may be off, heads of queries and of keys and their width, a softcap. flex is
# compiled for each of its lines, which takes seconds, and for llama's shapes is timed too.
BF16, FP32 = (torch.bfloat16, 1e-2), (torch.float32, 1e-4)
KERNELS: list[tuple[str, tuple[torch.dtype, float], tuple[int, int, int], float | None]] = [
    (VARLEN, BF16, (4, 4, 128), None),
    (VARLEN, BF16, (8, 2, 64), None),
    (FLEX, BF16, (32, 32, 128), None),
    (FLEX, BF16, (32, 4, 64), None),
    (FLEX, BF16, (32, 4, 64), 5.0),
    (FLEX, FP32, (32, 4, 64), None),
]


def kernels(device: str) -> list[Check]:
    """The kernels against blocks in fp64: what they give, and its gradients.

    Rows that are trees of common beginnings and rows of examples alone, under a window and without.
    """
    checks = []
    apart = Layout([Piece(0, 300), Piece(300, 301), Piece(301, 600)])
    ends = ((60, 150, 0), (150, 240, 1), (240, 330, 1), (330, 420, 0), (420, 510, 4), (510, 600, 0))
    shared = Layout([Piece(0, 60), *(Piece(*piece) for piece in ends)])
    for way, (dtype, limit), (heads, key_heads, width), softcap in KERNELS:
        generator = torch.Generator().manual_seed(0)
        sizes = [(1, n, 600, width) for n in (heads, key_heads, key_heads)]
        drawn = [torch.randn(size, generator=generator).to(device, dtype) for size in sizes]
        for rows, layout in (("examples", apart), ("shared beginnings", shared)):
            for window in (None, 50):
                error = _attention_error(way, drawn, layout, window, softcap)
                name = f"kernel {way} in {dtype}, {rows}, window {window}, {heads}/{key_heads} heads of {width}"
                checks.append(Check(f"{name}, softcap {softcap}" if softcap else name, error, limit))
    return checks


def _attention_error(
    kernel: str, drawn: list[torch.Tensor], layout: Layout, window: int | None, softcap: float | None
) -> float:
    """The largest of ||x - x'|| / ||x'|| over the output and the three gradients."""
    made = []
    for way, tensors in ((kernel, drawn), (BLOCKS, [tensor.double() for tensor in drawn])):
        inputs = [tensor.detach().requires_grad_() for tensor in tensors]
        out, _ = packed_attention(
            *(torch.nn.Identity(), *inputs, None),
            layout=layout,
            sliding_window=window,
            softcap=softcap,
            way=way,
        )
        weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape).to(out)
        made.append([out, *torch.autograd.grad((out * weights).sum(), inputs)])
    return max(float((one - two).detach().norm() / two.detach().norm()) for one, two in zip(*made, strict=True))


def losses_and_gradients(folder: Path, lora: bool, device: str, limit: float = 1e-4) -> list[Check]:
    """Every term, and all of them together, in fp32 on the device against fp64 on the CPU.

    A gradient's error is the largest over its tensors, each ||g - g'|| / ||g'||.
    """
    expected = _computed(folder, lora, "cpu", torch.float64)
    checks = []
    for way, stands in (("", True), (", logits in pieces", False)):
        got = _computed(folder, lora, device, torch.float32, stands)
        for name, (value, gradients) in expected.items():
            label = f"{name}, {'LoRA' if lora else 'full'}{way}"
            checks.append(Check(f"loss of {label}", abs(got[name][0] - value) / abs(value), limit))
            errors = [(got[name][1][key] - own).norm() / own.norm() for key, own in gradients.items()]
            worst = float(torch.stack(errors).max())  # max keeps a NaN
            checks.append(Check(f"gradient of {label}", worst, limit * LOOSER.get(name, 1)))
    return checks


def _computed(
    folder: Path, lora: bool, device: str, dtype: torch.dtype, stands: bool = True
) -> dict[str, tuple[float, dict[str, torch.Tensor]]]:
    """Term -> its weighted value and {tensor: gradient}, of a model that has moved away from its reference.

    Args:
        stands: logits are made at once; else some positions at a time, however few there are.
    """
    torch.set_float32_matmul_precision("highest")  # no TF32
    model = _loaded(folder, lora, "float32")
    model.model.to(device, dtype)
    stage, streams = method("sku")
    streams["preferences"] = Preferences("forget", "retain").bind(streams)
    stage.terms = TERMS
    steps = packed_steps(stage, streams, model, batch_size=2, count=1, length=128)
    steps.scored = {"start": reference_log_probs(model, scored_examples(stage, steps))}
    model.weights.make_trainable()
    model.model.to(device, dtype)
    passes = Passes(model, TERMS)
    passes.standing = None if stands else 0
    _move(model)
    step = steps[0].to(device)
    trained = {name: weight for name, weight in model.model.named_parameters() if weight.requires_grad}

    read, earlier = partial(passes.read, model.model), partial(passes.earlier, model.model)
    made = {}
    for name, terms in {**{name: {name: term} for name, term in TERMS.items()}, "all terms": TERMS}.items():
        loss = weighted_sum(read, terms, step, earlier)
        gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)  # none behind an early end
        made[name] = (
            loss.item(),
            {key: one.double().cpu() for key, one in zip(trained, gradients, strict=True) if one is not None},
        )
    return made


@torch.no_grad()
def _move(model: LanguageModel) -> None:
    """Change what is trained, by the same random amounts on any device and in any type."""
    generator = torch.Generator().manual_seed(1)
    for name, weight in model.model.named_parameters():
        if weight.requires_grad:
            noise = torch.randn(weight.shape, generator=generator)
            # A adapter's A is drawn by the device, so it is set; a weight is moved by a tenth of its size.
            moved = 0.05 * noise if "lora_" in name else weight.float().cpu() * (1 + 0.1 * noise)
            weight.copy_(moved)


def start_values(folder: Path, lora: bool, dtype: str, limit: float = 1e-3) -> list[Check]:
    """With nothing learnt yet, what the first step of the stage itself logs is what the formula says of equal models.

    The stage runs where the project puts it: on a GPU if there is one.
    """
    checks = []
    for name, terms in STARTS.items():
        logged = _first_step(folder, lora, dtype, name)
        for term, value in terms.items():
            seen = logged[f"terms/{term}"]
            label = f"start of {name}, {'LoRA' if lora else 'full'}, {dtype}: {seen:.4f}, right {value:.4f}"
            checks.append(Check(label, abs(seen - value) / (value or 1.0), limit))
    return checks


def _first_step(folder: Path, lora: bool, dtype: str, name: str) -> dict[str, Any]:
    """What a training of one step logs."""
    settings = ("max_steps=1", "batch_size=2", "max_length=128", "truncate=true", "save_every=0")
    quiet = ("train.arguments.learning_rate=0", "+train.arguments.disable_tqdm=true")
    stage, streams = method(name, *(f"train.{setting}" for setting in settings), *quiet)
    logged: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        stage(_loaded(folder, lora, dtype), Context(streams, 0, Path(place), "finetune", log=logged.update))
    return logged


def _loaded(folder: Path, lora: bool, dtype: str) -> LanguageModel:
    return load_source("check", str(folder), dtype, dict(LORA) if lora else None, TEMPLATE)
