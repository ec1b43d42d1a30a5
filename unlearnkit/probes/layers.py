"""Run a model's layers one at a time: their calls recorded once, parts replaced by what they are known to give."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from unlearnkit.models.anatomy import Layer
from unlearnkit.models.states import replaced
from unlearnkit.probes.questions import Row

Call = tuple[tuple[Any, ...], dict[str, Any]]  # what the model hands to a layer beside the hidden states


def calls(model: Any, layers: list[Layer], row: Row) -> tuple[torch.Tensor, list[Call]]:
    """The hidden states (1, T, H) before the first layer, and every layer's call; no layer is computed."""
    recorded: list[Call] = []
    embedded: list[torch.Tensor] = []

    def skip(hidden: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        embedded.append(hidden)
        recorded.append((arguments, keywords))
        return hidden

    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced(layer.block, skip))
        model(**{**row.inputs, "logits_to_keep": row.keep[:1]})
    return embedded[0], recorded


def final_states(model: Any, layers: list[Layer], row: Row, hidden: torch.Tensor) -> torch.Tensor:
    """(B, K, H): what the output embedding reads at `row.keep`, given last layers' outputs (B, T, H)."""
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        seen.append(arguments[0])
        return (arguments[0][:1, :1],)  # logits of one position, which nobody reads

    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced(layer.block, lambda states, *arguments, **keywords: hidden))
        hook = model.get_output_embeddings().register_forward_pre_hook(keep)
        stack.callback(hook.remove)
        model(**row.inputs)
    return seen[0]


def run(
    layer: Layer,
    call: Call,
    hidden: torch.Tensor,
    attention: torch.Tensor | None = None,
    written: torch.Tensor | None = None,
    value_vectors: nn.Module | None = None,
) -> torch.Tensor:
    """The layer's output (B, T, H); what is given is not computed.

    Args:
        attention: (T, H) the attention states A, the same in all of the batch.
        written: (T, H) coefficients times value vectors.
        value_vectors: multiplies the layer's own coefficients in its value vectors' place.
    """
    batch = len(hidden)
    with contextlib.ExitStack() as stack:
        if attention is not None:
            states = attention.expand(batch, *attention.shape)
            stack.enter_context(replaced(layer.attention, lambda *arguments, **keywords: (states, None)))
        if written is not None:
            for module in layer.key_vectors:  # two columns, for some split theirs in half
                stack.enter_context(replaced(module, lambda states: states[..., :2]))
            rows = written.expand(batch, *written.shape)
            stack.enter_context(replaced(layer.value_vectors, lambda s: rows.reshape(*s.shape[:-1], -1)))
        elif value_vectors is not None:
            stack.enter_context(replaced(layer.value_vectors, value_vectors.forward))
        return layer.block(hidden, *call[0], **call[1])


def run_own(layer: Layer, call: Call, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The layer's output (1, T, H), its attention states (T, H) and its coefficients (T, n)."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        layer.attention.register_forward_hook(lambda module, inputs, out: seen.update(attention=out[0][0])),
        layer.value_vectors.register_forward_pre_hook(lambda module, inputs: seen.update(coefficients=inputs[0])),
    ]
    try:
        output = layer.block(hidden, *call[0], **call[1])
    finally:
        for hook in hooks:
            hook.remove()
    return output, seen["attention"], seen["coefficients"].reshape(hidden.shape[1], -1)


def plain(module: nn.Module) -> Any:
    """The module without PEFT: itself, or a float32 copy that has its active adapters in its weight."""
    if not isinstance(module, BaseTunerLayer):
        return module
    if module.disable_adapters or not set(module.active_adapters) & _adapters(module):
        return module.get_base_layer()
    alone = copy.deepcopy(module).float()
    alone.merge()
    return alone.get_base_layer()


def _adapters(module: BaseTunerLayer) -> set[str]:
    return {name for kind in module.adapter_layer_names for name in getattr(module, kind)}


@contextlib.contextmanager
def merged(layer: Layer) -> Iterator[None]:
    """The layer with its adapters in copies of its weights for the length of a `with`: one matmul instead of three.

    Only where the weights are float32; bfloat16 would lose most of what an adapter adds.
    """
    with contextlib.ExitStack() as stack:
        for module in layer.block.modules():
            if isinstance(module, BaseTunerLayer) and module.get_base_layer().weight.dtype == torch.float32:
                stack.enter_context(replaced(module, plain(module).forward))
        yield


class Restored(nn.Module):
    """A layer's value vectors with another's weight and its own bias, for any input dtype."""

    def __init__(self, module: nn.Module, weight: torch.Tensor):
        super().__init__()
        self.inner: Any = copy.deepcopy(plain(module)).to(weight.dtype)
        self.inner.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        return self.inner(coefficients.to(self.inner.weight.dtype)).to(coefficients.dtype)
