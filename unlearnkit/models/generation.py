"""Generation that reads nothing but what it is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from unlearnkit.models.anatomy import bare


@contextlib.contextmanager
def own_settings(network: Any) -> Iterator[Any]:
    """The network under its wrapping, whose `generate` knows no settings but its arguments.

    transformers fills in what `generate` is not told from the model's generation_config, whatever may stand there.
    """
    inner = bare(network)
    before = inner.generation_config
    inner.generation_config = GenerationConfig()
    try:
        yield inner
    finally:
        inner.generation_config = before


def beginning_cache(network: Any, tokens: Sequence[int], prompts: int, device: torch.device) -> DynamicCache | None:
    """What `generate` needs of the tokens that all of a batch's prompts begin with, from one forward of them.

    None where there are none, and where a layer keeps a window or a state: padding behind them would be part of it.
    """
    if not tokens:
        return None
    made = network(input_ids=torch.tensor([tokens], device=device), use_cache=True, logits_to_keep=1).past_key_values
    if not isinstance(made, DynamicCache) or any(type(layer) is not DynamicLayer for layer in made.layers):
        return None
    made.batch_repeat_interleave(prompts)
    return made


def end_tokens(network: Any) -> set[int]:
    """The tokens at which the model's generation_config ends an answer."""
    return end_ids(bare(network).generation_config)


def end_ids(config: GenerationConfig | None) -> set[int]:
    """The end tokens of a generation_config."""
    end = getattr(config, "eos_token_id", None)
    return {end} if isinstance(end, int) else set(end or ())
