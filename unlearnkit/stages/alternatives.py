"""Other answers to a stream's prompts, sampled from the start before a training and kept by content."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

from unlearnkit.data.alternatives import Alternatives, request
from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError, beginning
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.decoding import Decoding
from unlearnkit.records.generate import generate, records_of
from unlearnkit.records.record import Record

ROUNDS = 4  # of sampling, the later ones for answers that have too few alternatives


def invent(streams: Mapping[str, Stream], model: LanguageModel, seed: int, steps: int, batch_size: int) -> None:
    """Give every stream of `Alternatives` those that a training of so many steps draws from.

    Any number of ranks samples the same.

    Raises:
        UserError: no room in the context, or fewer alternatives than the stream asks for.
    """
    for name, stream in streams.items():
        if isinstance(stream, Alternatives):
            examples = stream.drawn(seed, steps, batch_size)
            _check_room(name, stream, examples, model)
            records = _sampled(stream, examples, model, seed)
            stream.fill(_checked(name, stream, _different(examples, records), model))


def _check_room(name: str, stream: Alternatives, examples: list[Example], model: LanguageModel) -> None:
    for example in examples:
        tokens = len(model.template.encode_prompt(model.tokenizer, request(example)))
        if tokens + stream.tokens > model.max_length:
            raise UserError(
                f"To ask for an alternative to the answer of '{example.id}' takes {tokens} tokens and up to"
                f" {stream.tokens} for it: the context of '{model.name}' holds {model.max_length}",
                f"Set streams.{name}.tokens= lower, shorten the example, or choose a model with a longer context",
            )


def _sampled(stream: Alternatives, examples: list[Example], model: LanguageModel, seed: int) -> list[Record]:
    """`count` records an example and round, under the example's number."""
    requests = [Example(str(number), request(example)) for number, example in enumerate(examples)]

    def sample() -> list[Record]:
        print(f"Sampling {stream.count} alternatives to each of {len(requests)} answers", flush=True)
        every: list[Record] = []
        with model.start() as network:
            weights = copy.copy(model.weights)
            weights.network = network
            start = replace(model, weights=weights)
            for number in range(ROUNDS):
                drawn = _different(examples, every)
                short = [
                    asked for asked, texts in zip(requests, drawn.values(), strict=True) if len(texts) < stream.count
                ]
                records = records_of({"alternatives": short}, {"alternatives": stream.count})
                decoding = Decoding(stream.count, stream.temperature, seed=(seed + number) % 2**32)
                generate(start, records, stream.tokens, desc="Inventing answers", decoding=decoding)
                every += records
        return every

    content = {
        "model": fingerprint(model),
        "state": "start",
        "requests": requests,
        "answers": [example.response for example in examples],
        "decoding": (stream.count, stream.tokens, stream.temperature, seed, ROUNDS),
    }
    return cached(content, sample)


def _different(examples: list[Example], records: list[Record]) -> dict[Example, list[str]]:
    """Example -> what was said of it, without empty texts, repetitions and the answer itself."""
    distinct: list[dict[str, None]] = [{} for _ in examples]
    for record in records:
        text = (record.response or "").strip()
        if text and text != examples[int(record.id)].response.strip():
            distinct[int(record.id)][text] = None
    return {example: list(texts) for example, texts in zip(examples, distinct, strict=True)}


def _checked(
    name: str, stream: Alternatives, alternatives: dict[Example, list[str]], model: LanguageModel
) -> dict[Example, list[str]]:
    """The first `count` of each.

    Raises:
        UserError: one has fewer.
    """
    fewest = min(alternatives, key=lambda example: len(alternatives[example]))
    have = len(alternatives[fewest])
    if have < stream.count:
        other = f"streams.{name}.temperature= above {stream.temperature:g}"
        raise UserError(
            f"The stream '{name}' asks for {stream.count} alternatives to each answer: in {ROUNDS} rounds"
            f" {model.name} wrote {have} to '{beginning(fewest.prompt or fewest.response, 80)}' that differ and"
            " are not empty",
            f"Set streams.{name}.count={have}, or {other}" if have else f"Set {other}, or take such rows out",
        )
    return {example: texts[: stream.count] for example, texts in alternatives.items()}
