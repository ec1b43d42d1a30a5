"""The layers of a network compiled by torch, where they are asked often enough to pay for it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

from unlearnkit.models.attention import break_graphs
from unlearnkit.models.flex import compiled
from unlearnkit.models.reading import layers_of


@contextlib.contextmanager
def compiled_layers(network: Any) -> Iterator[None]:
    """For the length of a `with`; all layers of one class are one program, for rows of any length.

    Attention stays outside of it: which pieces of a row see each other is another loop in each step. Under gradient
    checkpointing torch compiles nothing.
    """
    layers = list(layers_of(network))
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        layer.forward = MethodType(_compiled(type(layer).forward), layer)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


@functools.cache
def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    break_graphs()
    return compiled(forward)
