"""How a model is asked, had without its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, PreTrainedTokenizerBase

from unlearnkit.models.generation import end_ids
from unlearnkit.models.loading import asked
from unlearnkit.models.sources import base_of, locate
from unlearnkit.models.templates import Template


@dataclass(frozen=True)
class PromptFormat:
    """What a `LanguageModel` knows of questions and answers; see there."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    template: Template
    ends: list[int]


def load(
    name: str,
    hub: str | None = None,
    path: str | None = None,
    package: str | None = None,
    gguf: str | None = None,
    template: Template | None = None,
    **_: Any,
) -> PromptFormat:
    """The same arguments as `unlearnkit.models.load`, of which those about weights are left unread.

    Raises:
        UserError: as there, as far as it can be known without weights.
    """
    source = locate(name, hub, path, package, gguf)
    tokenizer, config, fitting = asked(name, source, template or Template())
    try:
        generation = GenerationConfig.from_pretrained(base_of(source))
    except OSError:  # a model may come without
        generation = GenerationConfig.from_model_config(config)
    ends = {fitting.end(tokenizer), int(tokenizer.eos_token_id)} | end_ids(generation)
    return PromptFormat(name, tokenizer, fitting, sorted(ends))
