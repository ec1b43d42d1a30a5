"""Packed forwards of a model that is trained, and of the earlier states that its terms compare with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutput

from unlearnkit.losses.base import Loss
from unlearnkit.losses.states import layer_number
from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import bare, blocks
from unlearnkit.models.lineage import Reference, answering
from unlearnkit.models.packing import Packed


@dataclass(frozen=True)
class Seen:
    """What one forward of a row gave.

    Args:
        logits: (K, V), or (0, 0) where no term reads any.
        states: layer, as the terms name it -> (T, d) what it gave.
    """

    logits: torch.Tensor
    states: Mapping[float, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Reads:
    """What some terms read of a forward."""

    logits: bool
    layers: tuple[float, ...]

    @classmethod
    def of(cls, terms: Iterable[Loss]) -> Reads:
        read = [term.layer for term in terms]
        return cls(None in read, tuple(dict.fromkeys(layer for layer in read if layer is not None)))

    def numbers(self, depth: int) -> dict[float, int]:
        """Layer, as a term names it -> its number."""
        return {layer: layer_number(layer, depth) for layer in self.layers}

    def last(self, depth: int) -> int | None:
        """The layer after which nothing is read; None where logits are."""
        return None if self.logits else max(self.numbers(depth).values())


class Passes:
    """What a step of a training asks of its networks.

    An earlier state costs no second network where another adapter state of the trained one is it. Where no term reads
    logits, a pass ends after the highest layer that is read.

    Args:
        model: made trainable already; it is at the start of the training.
        terms: which earlier states are wanted, and what is read.
        whole: every pass goes to its end, as an engine wants it whose hooks wait for that.
    """

    def __init__(self, model: LanguageModel, terms: dict[str, Loss], whole: bool = False):
        compared = [term for term in terms.values() if term.needs_reference]
        self.reads = Reads.of(terms.values())
        self.of_state: dict[str, Reads] = {
            state: Reads.of(term for term in compared if term.against == state)
            for state in dict.fromkeys(term.against for term in compared)
        }
        self.references: dict[str, Reference] = {
            state: model.weights.reference(state, model.dtype) for state in self.of_state
        }
        self.computing, self.whole = model.computing, whole

    def own(self, network: Any, row: Packed) -> Seen:
        """Of the network itself, in the model's precision."""
        return self._seen(network, row, self.reads)

    @torch.no_grad()
    def earlier(self, network: Any, state: str, row: Packed) -> Seen:
        """Of an earlier state, dropout off.

        Args:
            network: the trained one, whose adapters are switched where these are what the state differs in.
        """
        reference, reads = self.references[state], self.of_state[state]
        if reference.frozen is not None:
            return self._seen(reference.frozen, row, reads)
        assert reference.switch is not None
        with answering(network), reference.switch(network):
            return self._seen(network, row, reads)

    def _seen(self, network: Any, row: Packed, reads: Reads) -> Seen:
        with self.computing():
            return seen(network, row, reads, self.whole)


def seen(network: Any, row: Packed, reads: Reads, whole: bool = False) -> Seen:
    """One forward of a row.

    Args:
        network: bare or wrapped, by PEFT, DDP or DeepSpeed.
        whole: go to the end, also where nothing after a layer is read.
    """
    if not reads.layers:
        return Seen(network(**row.inputs()).logits[0])
    inner = bare(getattr(network, "module", network))
    layers = blocks(inner)
    numbers = reads.numbers(len(layers))
    last = None if whole or getattr(inner, "is_gradient_checkpointing", False) else reads.last(len(layers))
    with reading(inner, layers, set(numbers.values()), last) as held:
        inputs = row.inputs()
        if not reads.logits:
            inputs["logits_to_keep"] = inputs["logits_to_keep"][:0]
        logits = network(**inputs).logits
    states = {layer: held[number] for layer, number in numbers.items()}
    return Seen(logits[0] if logits is not None else next(iter(states.values())).new_zeros(0, 0), states)


class _Enough(Exception):
    """Raised inside a forward that has come as far as is needed."""


@contextlib.contextmanager
def reading(
    network: Any, layers: list[nn.Module], numbers: set[int], last: int | None
) -> Iterator[dict[int, torch.Tensor]]:
    """number -> (T, d) what that layer gave in the forward of this `with`.

    Args:
        network: the bare one. Its wrappers see a forward that ends as any other, whose logits are None.
        last: nothing is computed after this layer; None: the forward goes to its end.
    """
    held: dict[int, torch.Tensor] = {}

    def note(number: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            held.setdefault(number, (output[0] if isinstance(output, tuple) else output)[0])
            if number == last:
                raise _Enough

        return hook

    hooks = [layers[number].register_forward_hook(note(number)) for number in sorted(numbers)]
    forward, patched = network.forward, "forward" in vars(network)

    def ending(*args: Any, **kwargs: Any) -> Any:
        try:
            return forward(*args, **kwargs)
        except _Enough:
            return CausalLMOutput()

    network.forward = ending
    try:
        yield held
    finally:
        if patched:
            network.forward = forward
        else:
            del network.forward
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def only_read(network: Any, reads: Reads) -> Iterator[None]:
    """What lies after the last layer that is read is not trained for the length of a `with`; it has no gradient."""
    inner = bare(network)
    layers = blocks(inner)
    last = reads.last(len(layers))
    if last is None:
        yield
        return
    embeddings = set(inner.get_input_embeddings().parameters())
    used = {weight for layer in layers[: last + 1] for weight in layer.parameters()} | embeddings
    inside = {weight for layer in layers for weight in layer.parameters()}
    head = set(inner.get_output_embeddings().parameters()) | _after(inner, layers)
    idle = [weight for weight in (inside | head) - used if weight.requires_grad]
    for weight in idle:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in idle:
            weight.requires_grad_(True)


def _after(network: nn.Module, layers: list[nn.Module]) -> set[nn.Parameter]:
    """Weights of the modules that follow the layers beside them, such as the last norm."""
    found: set[nn.Parameter] = set()
    for module in network.modules():
        children = list(module.children())
        place = next((n for n, child in enumerate(children) if layers[0] in list(child.children())), None)
        if place is not None:
            found |= {weight for child in children[place + 1 :] for weight in child.parameters()}
    return found
