"""Where an architecture keeps its layers, attention output, MLP coefficients and value vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from peft import PeftModel
from torch import nn

from unlearnkit.errors import UserError

Part = Literal["attention", "attention_out", "mlp_in", "mlp_out"]  # of a layer


@dataclass(frozen=True)
class Places:
    """Module paths; all but `layers` are seen from a layer."""

    layers: str
    attention: str
    attention_output: str
    value_vectors: str
    key_vectors: tuple[str, ...]

    def part(self, name: Part) -> tuple[str, ...]:
        """The paths of a part's modules."""
        return {
            "attention": (self.attention,),
            "attention_out": (self.attention_output,),
            "mlp_in": self.key_vectors,
            "mlp_out": (self.value_vectors,),
        }[name]


_LLAMA = Places("model.layers", "self_attn", "self_attn.o_proj", "mlp.down_proj", ("mlp.gate_proj", "mlp.up_proj"))
PLACES = {
    **dict.fromkeys(["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "olmo", "olmo2"], _LLAMA),
    "phi3": replace(_LLAMA, key_vectors=("mlp.gate_up_proj",)),
    "gpt2": Places("transformer.h", "attn", "attn.c_proj", "mlp.c_proj", ("mlp.c_fc",)),
    "gpt_neox": Places("gpt_neox.layers", "attention", "attention.dense", "mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),
    "opt": Places("model.decoder.layers", "self_attn", "self_attn.out_proj", "fc2", ("fc1",)),
}


@dataclass(frozen=True)
class Layer:
    """The parts of one transformer layer (Hong et al. 2024, eqs. 1 and 2).

    Args:
        name: the layer's path in the bare model, without PEFT's wrapping.
        block: the whole layer.
        attention: whose first output is the attention state A, which its last part `attention_output` makes.
        value_vectors: the MLP's second matrix: its input are the coefficients m, the rows of its weight (as
            coefficients multiply it) the value vectors.
        value_vectors_name: the path of that module in the bare model.
        key_vectors: the MLP's first matrices, from whose outputs the coefficients are made element by element.
    """

    name: str
    block: nn.Module
    attention: nn.Module
    attention_output: nn.Module
    value_vectors: nn.Module
    value_vectors_name: str
    key_vectors: tuple[nn.Module, ...]


def bare(network: Any) -> Any:
    """The transformers model, without PEFT's wrapping."""
    return network.get_base_model() if isinstance(network, PeftModel) else network


def unwrapped(network: Any) -> Any:
    """The transformers model in a network of whatever wrapping: DDP's, DeepSpeed's, PEFT's."""
    while (wrapped := dict(network.named_children()).get("module")) is not None:
        network = wrapped
    return bare(network)


def places_of(model: Any) -> Places:
    """Where the model's architecture keeps its parts.

    Raises:
        UserError: an architecture that is not in `PLACES`.
    """
    kind = bare(model).config.model_type
    if kind not in PLACES:
        raise UserError(
            f"Where architecture '{kind}' keeps its MLPs and its attention is not known; known: {', '.join(PLACES)}",
            f"Add a line '{kind}: Places(...)' to PLACES in unlearnkit/models/anatomy.py and its test",
        )
    return PLACES[kind]


def anatomy(model: Any) -> list[Layer]:
    """The layers of a causal language model, bare or under PEFT, from the first to the last.

    Raises:
        UserError: an architecture that is not in `PLACES`.
    """
    network, places = bare(model), places_of(model)
    return [
        Layer(
            f"{places.layers}.{number}",
            block,
            block.get_submodule(places.attention),
            block.get_submodule(places.attention_output),
            block.get_submodule(places.value_vectors),
            f"{places.layers}.{number}.{places.value_vectors}",
            tuple(block.get_submodule(path) for path in places.key_vectors),
        )
        for number, block in enumerate(network.get_submodule(places.layers))
    ]
