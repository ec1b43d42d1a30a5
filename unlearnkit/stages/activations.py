"""What goes into and comes out of modules at chosen places of packed rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Packed, Tokens, pack
from unlearnkit.models.reading import Outputs, read


@contextlib.contextmanager
def inputs_of(modules: dict[int, nn.Module]) -> Iterator[dict[int, torch.Tensor]]:
    """number -> (T, d) input of that module in the last forward, for the length of a `with`."""
    seen: dict[int, torch.Tensor] = {}

    def keep(number: int) -> Callable[..., None]:
        return lambda module, args: seen.update({number: args[0].reshape(-1, args[0].shape[-1])})

    hooks = [module.register_forward_pre_hook(keep(number)) for number, module in modules.items()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def outputs_through(changes: dict[int, Callable[[torch.Tensor], torch.Tensor]], blocks: list[nn.Module]) -> Iterator:
    """Every layer's hidden state (1, T, d) passes through its function, for the length of a `with`."""

    def through(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (change(output[0]), *output[1:])
            return change(output)

        return hook

    hooks = [blocks[number].register_forward_hook(through(change)) for number, change in changes.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def places_in(packed: Packed, stream: str, tokens: list[Tokens], places: list[int]) -> list[int]:
    """Where in the row each example's prompt token `places[i]` lies.

    An answer's first logits are those of its prompt's last token, which says where the prompt begins.
    """
    first = packed.streams[stream].start
    indices = []
    for (prompt, _), length, place in zip(tokens, packed.lengths[stream], places, strict=True):
        indices.append(int(packed.keep[first]) - (len(prompt) - 1) + place)
        first += length
    return indices


@torch.no_grad()
def gather(
    model: LanguageModel,
    tokens: list[Tokens],
    places: list[int],
    inputs: nn.Module,
    layer: int,
    tokens_a_row: int = 1024,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(input of one module, hidden state after a layer) at one place of each example: (n, d_in), (n, d), fp32.

    The module must not lie behind the layer, after which nothing is computed.
    """
    keys, states = [], []
    with inputs_of({0: inputs}) as seen:
        start = 0
        while start < len(tokens):
            end, size = start, 0
            while end < len(tokens) and (end == start or size + len(tokens[end][0]) <= tokens_a_row):
                size += len(tokens[end][0])
                end += 1
            packed = pack({"prompts": tokens[start:end]}, shared=None)
            where = places_in(packed, "prompts", tokens[start:end], places[start:end])
            with model.current() as network:
                made = read(network, packed.to(model.device), Outputs(logits=False, layers=frozenset({layer})))
            keys.append(seen[0][where].float())
            states.append(made.state(layer)[where].float())
            start = end
    return torch.cat(keys), torch.cat(states)
