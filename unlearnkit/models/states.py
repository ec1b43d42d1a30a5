"""The hidden states between a model's layers: read, replaced, and turned into logits by the model's own head."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from unlearnkit.models.anatomy import anatomy


@contextlib.contextmanager
def replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """`module` computes `forward` for the length of a `with`; its hooks stay."""
    before = module.__dict__.get("forward")
    module.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before  # type: ignore[method-assign]


def blocks(network: Any) -> list[nn.Module]:
    """A network's layers, from the first to the last."""
    return [layer.block for layer in anatomy(network)]


def states_of(network: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Every layer's output (L, T, H) in one forward of a row, and the logits that the forward gives."""
    seen: list[torch.Tensor] = []
    with contextlib.ExitStack() as stack:
        for block in blocks(network):
            hook = block.register_forward_hook(lambda module, arguments, out: seen.append(_states(out)[0].detach()))
            stack.callback(hook.remove)
        logits = network(**inputs).logits[0]
    return torch.stack(seen), logits


def logits_from(network: Any, inputs: dict[str, Any], layer: int, states: torch.Tensor) -> torch.Tensor:
    """The logits where a layer's output is `states` (T, H); no layer up to it is computed."""

    def skip(hidden: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        return hidden

    def put(hidden: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        return states[None].to(hidden.dtype)

    with contextlib.ExitStack() as stack:
        for number, block in enumerate(blocks(network)[: layer + 1]):
            stack.enter_context(replaced(block, put if number == layer else skip))
        logits: torch.Tensor = network(**inputs).logits[0]
    return logits


def _states(output: Any) -> torch.Tensor:
    """Some architectures give a tuple."""
    return output if isinstance(output, torch.Tensor) else output[0]
