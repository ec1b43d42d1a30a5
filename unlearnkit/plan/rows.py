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
from unlearnkit.losses.base import Loss
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
class Row:
    """The largest row of one of a step's passes.

    Args:
        terms: of the pass.
        step: the micro-batch whose row it is.
        tokens, answer_tokens: of the row.
        mean_tokens: of the pass in an optimiser step, over all ranks and micro-batches, on average.
    """

    terms: dict[str, Loss]
    step: Step
    tokens: int
    answer_tokens: int
    mean_tokens: float


@dataclass(frozen=True)
class Micro:
    """A rank's largest micro-batch, and how much there is to train on.

    Args:
        rows: one a pass.
        examples: of each stream.
        divides: the run's batch size splits into so many shards; if not, it is rounded up.
    """

    rows: list[Row]
    examples: int
    divides: bool

    @property
    def tokens(self) -> int:
        """Input tokens of its largest row."""
        return max(row.tokens for row in self.rows)

    @property
    def mean_tokens(self) -> float:
        """Input tokens of an optimiser step over all ranks, micro-batches and passes, on average."""
        return sum(row.mean_tokens for row in self.rows)


def largest(
    stage: Finetune,
    streams: dict[str, Stream],
    encode: Encode,
    config: Any,
    seed: int,
    shards: int,
    looked_at: int,
) -> Micro:
    """Each pass's row with the most to hold among `looked_at` micro-batches, evenly spaced over the training.

    Args:
        config: transformers', for the context and for what a token and a logit weigh.
        shards: ranks x micro-batches.
    """
    examples = math.ceil(stage.batch_size / shards)
    context = config.max_position_embeddings
    steps = Steps(
        streams={term.stream: streams[term.stream] for term in stage.terms.values()},
        tokenise=Tokenise(encode, min(stage.max_length or context, context), stage.truncate),
        seed=seed,
        batch_size=examples * shards,
        max_steps=stage.steps(streams),
        shards=shards,
    )
    places = np.unique(np.linspace(0, len(steps) - 1, min(looked_at, len(steps))).round().astype(int))
    a_token = 16 * config.hidden_size * config.num_hidden_layers  # to rank the micro-batches by, no more
    a_logit = 4 * config.vocab_size
    made = [steps[int(place)] for place in places]
    rows = []
    for terms in stage.sides():
        packed = [step.row(term.stream for term in terms.values()) for step in made]
        sizes = [(row.input_ids.numel(), row.keep.numel()) if row else (0, 0) for row in packed]
        best = max(range(len(made)), key=lambda place: sizes[place][0] * a_token + sizes[place][1] * a_logit)
        mean = float(np.mean([tokens for tokens, _ in sizes])) * shards
        if any(sizes[best]):
            rows.append(Row(terms, made[best], *sizes[best], mean))
    return Micro(rows, examples, stage.batch_size % shards == 0)
