"""The adapters of a network, as PEFT has them: switched, merged, and told apart by their parameters' names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from peft import PeftModel
from torch import nn

from unlearnkit.models.quantised import check_exact
from unlearnkit.models.split import SUBTRACTED

DEFAULT, START = "default", "start"  # PEFT's names of the adapter that is trained and of the one it began as


@contextlib.contextmanager
def adapter_off(network: Any) -> Iterator[None]:
    """The base alone, for the length of a `with`; what is trainable stays so. A bare network is its own base."""
    with same_flags(network), network.disable_adapter() if isinstance(network, PeftModel) else nullcontext():
        yield


@contextlib.contextmanager
def adapter_at(network: Any, name: str) -> Iterator[None]:
    """Another of the network's adapters, for the length of a `with`; what is trainable stays so."""
    with same_flags(network):
        network.base_model.set_adapter(name, inference_mode=True)
        try:
            yield
        finally:
            network.base_model.set_adapter(DEFAULT)


@contextlib.contextmanager
def same_flags(network: nn.Module) -> Iterator[None]:
    """PEFT makes an adapter that it switches on trainable, also what a stage has frozen."""
    flags = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    try:
        yield
    finally:
        for name, parameter in network.named_parameters():
            if parameter.requires_grad != flags.get(name, False):
                parameter.requires_grad_(flags.get(name, False))


def outputs(network: PeftModel) -> list[nn.Parameter]:
    """The matrices whose sign is the adapter's sign: LoRA's B, and the B of embeddings."""
    parameters = network.named_parameters()
    ends = (".lora_B.", ".lora_embedding_B.")
    return [p for name, p in parameters if of_adapter(name, DEFAULT, SUBTRACTED) and any(end in name for end in ends)]


def merged(network: Any, keep: bool) -> Any:
    """The bare network, with the adapter in its weights or without it."""
    if not isinstance(network, PeftModel):
        return network
    if not keep:
        for name in list(network.peft_config):  # else PEFT would keep modules_to_save as they were trained
            network.delete_adapter(name)
        return network.unload()
    check_exact(network, "merged with an adapter")
    _untie(network.get_base_model())
    return network.merge_and_unload(adapter_names=[DEFAULT, *[SUBTRACTED] * (SUBTRACTED in network.peft_config)])


def _untie(bare: Any) -> None:
    """An adapter on one of two layers that share a weight would be merged into both."""
    ends = [bare.get_input_embeddings(), bare.get_output_embeddings()]
    wrapped = [getattr(end, "base_layer", getattr(end, "original_module", end)) for end in ends]
    if wrapped != ends and wrapped[0].weight is wrapped[1].weight:
        wrapped[1].weight = nn.Parameter(wrapped[1].weight.detach().clone(), requires_grad=False)
    if wrapped != ends:
        bare.config.tie_word_embeddings = False


def biases_of(network: Any) -> str:
    """Which biases of the base PEFT trains: "none", "all" or "lora_only"."""
    return getattr(network.peft_config[DEFAULT], "bias", "none")


def in_bare(name: str) -> str:
    """The name in the bare network of the weight that a parameter is, or stands over or in the place of."""
    name = name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", ".")
    return re.sub(r"\.lora_\w+\.\w+(\.weight)?$", ".weight", re.sub(r"\.modules_to_save\.\w+\.", ".", name))


def of_adapter(name: str, *adapters: str) -> bool:
    """A parameter's name has one of the adapters in it; of none that are named, any."""
    return not set(adapters or (DEFAULT, START, SUBTRACTED)).isdisjoint(name.split("."))
