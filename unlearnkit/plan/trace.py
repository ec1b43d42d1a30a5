"""What one training step holds in memory, seen by running it: the real forward, losses and backward, on tensors
that have shapes but no values.

Nothing is estimated per layer: each operation's outputs are counted while they live, so what autograd saves under
packed attention, LoRA, autocast or gradient checkpointing is what the code at hand makes it save. Workspaces inside
a kernel are not seen. A deep model is traced at three layers, of which the inner one is repeated.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode  # torch documents both and names neither otherwise
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from unlearnkit.losses import NLL, Loss, RandomLabels
from unlearnkit.losses.base import AGAINST
from unlearnkit.models.heads import STANDING, config_ends_with_head
from unlearnkit.models.lineage import answering
from unlearnkit.models.packing import Packed
from unlearnkit.models.reading import Outputs, Pass, layers_of, read
from unlearnkit.models.switching import adapter_off
from unlearnkit.stages.steps import Step
from unlearnkit.stages.trainer import weighted_sum

TRACED = 3  # layers: the first, one to repeat, the last
ACTIVATIONS, LOGITS, GRADIENTS = range(3)


@dataclass(frozen=True)
class Peak:
    """The largest moment of a step in bytes, beside weights and optimiser, and the step's FLOPs.

    Args:
        gradients: held at that moment; 0 in a peak that leaves them out.
    """

    activations: int
    logits: int
    gradients: int
    flops: int

    @property
    def total(self) -> int:
        return self.activations + self.logits + self.gradients


class Live(TorchDispatchMode):
    """Counts the bytes of every storage from the operation that makes it to the moment nothing holds it."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.vocabulary = vocabulary
        self.now = np.zeros(3, dtype=np.int64)
        self.known: dict[int, list] = {}  # storage -> its bytes, kind and weak reference
        self.part: tuple[str, int] = ("start", 0)  # of the step, and the layer it is in
        self.starts: dict[tuple[str, int], np.ndarray] = {}
        self.highest: dict[tuple[str, int], list[np.ndarray]] = {}  # with gradients, and without
        self.flops: dict[tuple[str, int], int] = defaultdict(int)
        self.kept_a_layer = 0  # bytes of gradients that were there before the step
        self.enter("start", 0)

    def enter(self, part: str, layer: int) -> None:
        """A new part of the step begins."""
        self.part = (part, layer)
        self.starts[self.part] = self.now.copy()
        self.highest[self.part] = [self.now.copy(), self.now.copy()]

    def ignore(self, tensor: torch.Tensor) -> None:
        """Weights and buffers are counted elsewhere."""
        self.known[tensor.untyped_storage()._cdata] = [0, ACTIVATIONS, tensor.untyped_storage()]

    def hold_gradient(self, gradient: torch.Tensor) -> None:
        """From now on this storage is a gradient."""
        entry = self.known.get(gradient.untyped_storage()._cdata)
        if entry is not None and entry[1] != GRADIENTS:
            self.now[entry[1]] -= entry[0]
            self.now[GRADIENTS] += entry[0]
            entry[1] = GRADIENTS

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.known:
            return
        kind = LOGITS if tensor.dim() > 1 and tensor.shape[-1] == self.vocabulary else ACTIVATIONS
        entry: list = [storage.nbytes(), kind, None]

        def gone(_: Any) -> None:
            self.now[entry[1]] -= entry[0]
            del self.known[key]

        entry[2] = weakref.ref(storage, gone)
        self.known[key] = entry
        self.now[kind] += entry[0]
        highest = self.highest[self.part]
        if self.now.sum() > highest[0].sum():
            highest[0] = self.now.copy()
        if self.now[:GRADIENTS].sum() > highest[1][:GRADIENTS].sum():
            highest[1] = self.now.copy()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            self._count(tensor)
        formula = flop_registry.get(getattr(func, "overloadpacket", None))
        if formula is not None:
            self.flops[self.part] += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _tensors(out: Any) -> Iterator[torch.Tensor]:
    """Of what an operation gives: a tensor, or several in tuples and lists."""
    if isinstance(out, torch.Tensor):
        yield out
    elif isinstance(out, tuple | list):
        for part in out:
            yield from _tensors(part)


def trace(
    model: Any,
    terms: dict[str, Loss],
    step: Step,
    vocabulary: int,
    autocast: bool = False,
    keeps_gradients: bool = False,
    checkpointing: bool = False,
    sharded: bool = False,
) -> Live:
    """Run one pass of a step of a model on the meta device (`sizes.skeleton`), which is used up by it.

    Args:
        terms: of the pass.
        autocast: it computes in bf16, see `unlearnkit.models.precision`.
        keeps_gradients: those of an earlier micro-batch are there already.
        checkpointing: layers are computed again in the backward pass.
        sharded: under DeepSpeed, see `unlearnkit.stages.passes`.
    """
    if checkpointing:  # not reentrant, whatever is asked for: the same memory, and hooks that fire
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    mode, live = FakeTensorMode(), Live(vocabulary)
    terms = {name: _traceable(term) for name, term in terms.items()}
    with mode:
        _make_fake(model, live)
        step = _traceable_step(step)
        if keeps_gradients:
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.empty_like(parameter)
            inner = list(layers_of(model))[-2:][0]
            live.kept_a_layer = sum(weight.grad.nbytes for weight in inner.parameters() if weight.grad is not None)
        with live, _marked(model, live), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            for parameter in model.parameters():
                if parameter.grad is not None:
                    live._count(parameter.grad)
                    live.hold_gradient(parameter.grad)
            live.enter("start", 0)
            standing = STANDING if not sharded and config_ends_with_head(model.config) else None
            reading = partial(read, standing=standing)
            loss = weighted_sum(partial(reading, model), terms, step, partial(_earlier, reading, model))
            with torch.autocast("cpu", enabled=False):
                if loss.requires_grad:  # not where one side reads nothing that is trained
                    loss.backward()
    return live


def peaks(live: Live, traced: int, layers: int) -> tuple[Peak, Peak]:
    """The largest moment with gradients, and that of all else, of a model with `layers` instead of `traced` layers."""
    if layers != traced and traced != TRACED:
        raise ValueError(f"only a trace of {TRACED} layers is drawn out")
    moments: list[list[np.ndarray]] = []
    more = layers - traced
    saved = live.starts.get(("forward", 2), 0) - live.starts.get(("forward", 1), 0)
    undone = live.starts.get(("backward", 1), 0) - live.starts.get(("backward", 2), 0)
    kept = np.array([0, 0, more * live.kept_a_layer])
    flops = 0
    for (part, layer), highest in live.highest.items():
        shifts = [0 * saved]
        if part == "forward" and layer == traced - 1 or part in ("losses", "reference"):
            shifts = [more * saved]
        elif part == "backward":
            done = traced - 1 - layer  # layers whose backward pass is over
            shifts = [more * saved + extra * undone for extra in {0 if done < 2 else more, more if done else 0}]
        moments += [[point + shift + kept for point in highest] for shift in shifts]
        repeated = 1 + more if layer == 1 and part in ("forward", "backward", "reference") else 1
        flops += live.flops[part, layer] * repeated
    full = max((moment[0] for moment in moments), key=lambda point: point.sum())
    bare = max((moment[1] for moment in moments), key=lambda point: point[:GRADIENTS].sum())
    return (
        Peak(int(full[ACTIVATIONS]), int(full[LOGITS]), int(full[GRADIENTS]), flops),
        Peak(int(bare[ACTIVATIONS]), int(bare[LOGITS]), 0, flops),
    )


def alike(model: Any, depth: int | None = None) -> bool:
    """The first `depth` layers have the same parameters, of which the same are trained: one may stand for another."""
    shapes = [
        [(name, parameter.shape, parameter.dtype, parameter.requires_grad) for name, parameter in named]
        for named in (list(block.named_parameters()) for block in list(layers_of(model))[:depth])
    ]
    return all(shape == shapes[0] for shape in shapes)


def _traceable(term: Loss) -> Loss:
    """Random labels are drawn from values, which there are none of here; any other labels take as much memory."""
    return NLL(term.stream, term.weight, term.mean) if isinstance(term, RandomLabels) else term  # type: ignore[arg-type]


def _make_fake(model: Any, live: Live) -> None:
    """Parameters and buffers of the current FakeTensorMode in place of those on meta; tied ones stay tied."""
    made: dict[torch.Tensor, torch.Tensor] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if tensor not in made:
                    fake: torch.Tensor = torch.empty(tensor.shape, dtype=tensor.dtype)
                    if isinstance(tensor, torch.nn.Parameter):
                        fake = torch.nn.Parameter(fake, requires_grad=tensor.requires_grad)
                    made[tensor] = fake
                    live.ignore(fake)
                tensors[name] = made[tensor]


def _traceable_step(step: Step) -> Step:
    """Its row is packed in this mode; numbers of the reference stand in for those that are computed before training."""
    scored = {name: torch.zeros(len(examples)) for name, examples in step.examples.items()}
    return replace(step, reference_log_probs=dict.fromkeys(AGAINST, scored))


@torch.no_grad()
def _earlier(reading: Callable[..., Pass], model: Any, state: str, row: Packed, wanted: Outputs) -> Pass:
    """Of a model without an adapter the frozen copy's pass, which takes what the model's own would."""
    with answering(model), adapter_off(model):
        return reading(model, row, wanted)


@contextlib.contextmanager
def _marked(model: Any, live: Live) -> Iterator[None]:
    """Tell `live` which layer the step is in, and when a gradient is there to stay."""
    layers = list(layers_of(model))
    hooks: list[Any] = []

    def before(number: int) -> Callable:
        def mark(*_: Any) -> None:
            if live.part[0] != "backward":  # where checkpointing computes a layer again
                live.enter("forward" if torch.is_grad_enabled() else "reference", number)

        return mark

    def after(number: int) -> Callable:
        def mark(module: Any, inputs: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            if live.part[0] == "backward":
                return
            if hidden.requires_grad:
                hidden.register_hook(lambda gradient: live.enter("backward", number))
            if number == len(layers) - 1:
                live.enter("losses", 0 if torch.is_grad_enabled() else 1)

        return mark

    for number, block in enumerate(layers):
        hooks += [block.register_forward_pre_hook(before(number)), block.register_forward_hook(after(number))]
    for parameter in model.parameters():
        if parameter.requires_grad:
            hook = lambda parameter: live.hold_gradient(parameter.grad)  # noqa: E731
            hooks.append(parameter.register_post_accumulate_grad_hook(hook))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
