"""One forward of a packed row, as far as what is read of it goes: logits at answers, hidden states of layers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from unlearnkit.errors import UserError
from unlearnkit.losses.projected import Logits, Projected
from unlearnkit.models.anatomy import PLACES, unwrapped
from unlearnkit.models.heads import passed_through
from unlearnkit.models.packing import Packed, pack
from unlearnkit.models.padding import padded
from unlearnkit.settings.bounds import Depth


@dataclass(frozen=True)
class Outputs:
    """What is read of a forward.

    Args:
        logits: at the row's answers.
        layers: whose hidden states are read, by number or share of the depth.
        padded: (stream, length): logits of all places of its examples, padded to that length or to the longest.
    """

    logits: bool = True
    layers: frozenset[Depth] = frozenset()
    padded: frozenset[tuple[str, int | None]] = frozenset()

    @property
    def whole(self) -> bool:
        """All layers and the head have a part in it."""
        return self.logits or bool(self.padded) or not self.layers


@dataclass
class Pass:
    """What one forward gave.

    Args:
        depth: layers of the model.
        logits: (K, V), where they were wanted; `Projected` where too many to stand.
        states: layer's number -> (T, d), where they were wanted.
        padded: (stream, length) -> (n, L, V), where they were wanted.
    """

    depth: int
    logits: Logits | None = None
    states: dict[int, torch.Tensor] = field(default_factory=dict)
    padded: dict[tuple[str, int | None], torch.Tensor] = field(default_factory=dict)
    _parts: dict[str, torch.Tensor] = field(default_factory=dict)

    def nothing(self) -> torch.Tensor:
        """A zero that depends on the network."""
        logits = self.logits.states if isinstance(self.logits, Projected) else self.logits
        values = [logits, *self.states.values(), *self.padded.values()]
        return next(value for value in values if value is not None)[:0].sum()

    def of_stream(self, row: Packed, stream: str) -> Logits:
        """(N, V) logits at a stream's answers: a part of one split, for slices fill (K, V) with zeros each."""
        assert self.logits is not None
        if isinstance(self.logits, Projected):
            return self.logits[row.streams[stream]]
        if not self._parts:
            sizes = [where.stop - where.start for where in row.streams.values()]
            self._parts = dict(zip(row.streams, self.logits.split(sizes), strict=True))
        return self._parts[stream]

    def state(self, layer: Depth) -> torch.Tensor:
        """(T, d) of a layer, by number or share of the depth."""
        return self.states[number_of(layer, self.depth)]


def number_of(layer: Depth, depth: int) -> int:
    """The layer's number, from 0: a share of the depth stands for the nearest one.

    Raises:
        UserError: a layer that a model of so many layers does not have.
    """
    if isinstance(layer, float):
        if not 0 < layer < 1:
            raise UserError(f"layer={layer:g} is no share of the depth", "Give a share between 0 and 1, or a number")
        return min(int(layer * depth + 0.5), depth - 1)
    if not 0 <= layer < depth:
        raise UserError(
            f"The model has no layer {layer}: it has {depth}, 0 to {depth - 1}",
            f"Name a layer up to {depth - 1}, or give its share of the depth, such as 0.22",
        )
    return layer


def layers_of(network: Any) -> nn.ModuleList:
    """The layers of a network in whatever wrapping; see `place_of_layers`."""
    inner, path = place_of_layers(network)
    return cast(nn.ModuleList, inner.get_submodule(path))


def place_of_layers(network: Any) -> tuple[nn.Module, str]:
    """The bare model in a network of whatever wrapping, and the path of its layers.

    Raises:
        UserError: an architecture in which they cannot be told.
    """
    inner = unwrapped(network)
    kind = inner.config.model_type
    if kind in PLACES:
        return inner, PLACES[kind].layers
    depth = inner.config.get_text_config().num_hidden_layers
    lists = [name for name, part in inner.named_modules() if isinstance(part, nn.ModuleList) and len(part) == depth]
    if len(lists) != 1:
        raise UserError(
            f"Where architecture '{kind}' keeps its layers is not known",
            f"Add a line '{kind}: Places(...)' to PLACES in unlearnkit/models/anatomy.py and its test",
        )
    return inner, lists[0]


def read(network: Any, row: Packed, outputs: Outputs, pad: int = 0, standing: int | None = None) -> Pass:
    """Run a network on a packed row, and on padded batches of its streams where they are wanted.

    Args:
        pad: the token that fills these up.
        standing: logits of the row that may stand at once, more are `Projected`; None: any number. Only of a network
            whose head gives them, see `ends_with_head` in `models/heads.py`.
    """
    head = unwrapped(network).get_output_embeddings() if standing is not None and outputs.logits else None
    if head is not None and standing is not None and len(row.keep) * len(head.weight) > standing:
        with passed_through(head):
            made = _packed(network, row, outputs)
        assert isinstance(made.logits, torch.Tensor)
        frozen = not any(weight.requires_grad for weight in head.parameters())
        made.logits = Projected(made.logits, head, len(head.weight), frozen)
    else:
        made = _packed(network, row, outputs)
    for stream, length in sorted(outputs.padded, key=str):
        if row.places.get(stream):
            ids, mask = padded(row, stream, length, pad)
            made.padded[stream, length] = network(input_ids=ids, attention_mask=mask).logits
    return made


def _packed(network: Any, row: Packed, outputs: Outputs) -> Pass:
    """Run a network on a packed row.

    Where no logits are wanted, nothing behind the highest wanted layer is computed but the final norm: no later layer,
    and the head at no position. The call is the network's own, so what wraps it (PEFT, DDP, DeepSpeed) does its work.
    """
    if not outputs.layers:
        return Pass(0, network(**row.inputs()).logits.squeeze(0) if outputs.logits else None)
    inner, path = place_of_layers(network)
    depth = len(cast(nn.ModuleList, inner.get_submodule(path)))
    numbers = {number_of(layer, depth) for layer in outputs.layers}
    inputs = row.inputs()
    if not outputs.logits:
        inputs["logits_to_keep"] = row.keep[:0]
    with _watched(inner, path, numbers, until=None if outputs.logits else max(numbers)) as states:
        logits = network(**inputs).logits.squeeze(0)  # the gradient of [0] would fill the whole with zeros first
    return Pass(depth, logits if outputs.logits else None, states)


@contextlib.contextmanager
def _watched(model: nn.Module, path: str, numbers: set[int], until: int | None) -> Iterator[dict[int, torch.Tensor]]:
    """The model with the layers up to `until` alone, for the length of a `with`; what these layers give is kept.

    Args:
        path: of the layers in the bare model.
    """
    holder, _, name = path.rpartition(".")
    parent, layers = model.get_submodule(holder), cast(nn.ModuleList, model.get_submodule(path))
    states: dict[int, torch.Tensor] = {}
    first = list(layers)[: None if until is None else until + 1]
    watched = [_Watched(layer, number, states) if number in numbers else layer for number, layer in enumerate(first)]
    setattr(parent, name, nn.ModuleList(watched))
    try:
        yield states
    finally:
        setattr(parent, name, layers)


class _Watched(nn.Module):
    """A layer whose output is kept.

    It stands around the layer, where hooks would lie inside what gradient checkpointing computes twice.
    """

    def __init__(self, layer: nn.Module, number: int, states: dict[int, torch.Tensor]):
        super().__init__()
        self.layer, self.number, self.states = layer, number, states
        self.training = layer.training

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.layer(*args, **kwargs)
        hidden = output[0] if isinstance(output, tuple) else output
        self.states[self.number] = hidden.reshape(-1, hidden.shape[-1])
        return output


def reached(network: Any, outputs: Outputs) -> list[nn.Parameter]:
    """The parameters that what is read depends on: those of the layers up to the highest read one, and those that the
    gradient finds.

    Raises:
        UserError: a layer that the model does not have.
    """
    if outputs.whole:
        return list(network.parameters())
    layers = layers_of(network)
    last = max(number_of(layer, len(layers)) for layer in outputs.layers)
    weights = {id(weight): weight for layer in list(layers)[: last + 1] for weight in layer.parameters()}
    device = next(network.parameters()).device
    with torch.enable_grad():
        states = read(network, _one_token(device), outputs).states
    nodes = [state.grad_fn for state in states.values()]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        weight = getattr(node, "variable", None)  # of the nodes at a graph's ends
        if weight is not None:
            weights[id(weight)] = weight
        more = {following for following, _ in (node.next_functions if node is not None else ())} - seen - {None}
        seen |= more
        nodes += more
    return list(weights.values())


def _one_token(device: torch.device) -> Packed:
    return pack({"any": [((0,), (0, 0))]}).to(device)
