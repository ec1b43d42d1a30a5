"""The micro-batches of a run, from its own rows where they are at hand, else from rows of stated lengths."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from transformers import PreTrainedTokenizerBase

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError
from unlearnkit.models.packing import Tokenise
from unlearnkit.models.templates import Template
from unlearnkit.runs.checks import bind_streams
from unlearnkit.settings.bounds import Positive
from unlearnkit.stages.finetune import Finetune
from unlearnkit.stages.steps import Step, Steps

Encode = Callable[[str, str], tuple[list[int], list[int]]]


@dataclass(frozen=True)
class StandIn:
    """What is assumed where a tokenizer or the data are not at hand, see `conf/plan.yaml`."""

    characters_a_token: Positive
    template_tokens: Positive
    prompt_tokens: Positive
    response_tokens: Positive
    rows: Positive

    def encode(self, template: Template) -> Encode:
        """Equal pieces of text become equal tokens, so that prompts are shared as with a tokenizer."""

        def tokens(text: str) -> list[int]:
            size = self.characters_a_token
            return [zlib.crc32(text[start : start + size].encode()) for start in range(0, len(text), size)]

        def encode(prompt: str, response: str) -> tuple[list[int], list[int]]:
            if not prompt:
                return [0], tokens(response)
            asked = tokens(template.text.replace("{prompt}", prompt)) if template.text else tokens(prompt)
            around = [0] * (1 if template.text else self.template_tokens)
            return around + asked, tokens(response) + [0] * template.closed

        return encode

    def data(self, names: list[str]) -> Data:
        """Rows for every stream, each of the stated lengths."""

        def text(name: str, tokens: int) -> str:
            return name.ljust(tokens * self.characters_a_token, "x")[: tokens * self.characters_a_token]

        def row(name: str, number: int) -> Example:
            prompt = text(f"{number} {name}", self.prompt_tokens)
            return Example(f"{number}", prompt, text(f"{number}", self.response_tokens))

        return Data("stand-in", {name: [row(name, number) for number in range(self.rows)] for name in names})


def encoder(tokenizer: PreTrainedTokenizerBase | None, template: Template, stand_in: StandIn) -> Encode:
    """(prompt, response) -> token ids, by the tokenizer where there is one."""
    if tokenizer is None:
        return stand_in.encode(template)
    return lambda prompt, response: template.encode(tokenizer, prompt, response)


def streams_of(
    cfg: DictConfig, stages: dict[str, Finetune], stand_in: StandIn
) -> tuple[dict[str, Stream], Data | None]:
    """The streams that the stages train on, and the run's own data; None where they are stood in for.

    Raises:
        UserError: the run's data are wrong; data that are only on the hub and not here are stood in for.
    """
    derived = instantiate(cfg.streams, _convert_="all")
    try:
        data: Data = instantiate(cfg.data, _convert_="all")
        return bind_streams(data, derived), data
    except (InstantiationException, UserError):
        if not cfg.data.get("hub") or cfg.data.get("path"):
            raise
    sources = ("source", "chosen", "responses", "forget", "retain")
    names = [getattr(stream, key) for stream in derived.values() for key in sources if hasattr(stream, key)]
    names += [name for stage in stages.values() for name in stage.stream_names().values() if name not in derived]
    return bind_streams(stand_in.data(sorted(set(names))), derived), None


@dataclass(frozen=True)
class Micro:
    """A rank's largest micro-batch, and how much there is to train on.

    Args:
        tokens: input tokens of `step`.
        mean_tokens: input tokens of an optimiser step over all ranks and micro-batches, on average.
        divides: the run's batch size splits into so many shards; if not, it is rounded up.
    """

    step: Step
    examples: int
    tokens: int
    mean_tokens: float
    divides: bool


def largest(
    stage: Finetune,
    streams: dict[str, Stream],
    encode: Encode,
    config: Any,
    seed: int,
    shards: int,
    looked_at: int,
) -> Micro:
    """The micro-batch with the most to hold among `looked_at` ones, evenly spaced over the training.

    Args:
        config: transformers', for the context and for what a token and a logit weigh.
        shards: ranks x micro-batches.
    """
    examples = math.ceil(stage.batch_size / shards)
    context = config.max_position_embeddings
    steps = Steps(
        streams={term.stream: streams[term.stream] for term in stage.terms.values()},
        reference_streams={term.stream for term in stage.terms.values() if term.needs_reference},
        tokenise=Tokenise(encode, min(stage.max_length or context, context), stage.truncate),
        seed=seed,
        batch_size=examples * shards,
        max_steps=stage.steps(streams),
        shards=shards,
    )
    places = np.unique(np.linspace(0, len(steps) - 1, min(looked_at, len(steps))).round().astype(int))
    a_token = 16 * config.hidden_size * config.num_hidden_layers  # to rank the micro-batches by, no more
    a_logit = 4 * config.vocab_size
    best, most, tokens = None, -1, []
    for place in places:
        step = steps[int(place)]
        tokens.append(step.packed.input_ids.numel())
        weight = tokens[-1] * a_token + step.packed.keep.numel() * a_logit
        if weight > most:
            best, most = step, weight
    assert best is not None
    return Micro(
        best,
        examples,
        best.packed.input_ids.numel(),
        float(np.mean(tokens)) * shards,
        stage.batch_size % shards == 0,
    )
