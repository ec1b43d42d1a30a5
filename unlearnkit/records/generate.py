"""Responses to evaluation prompts."""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.data.examples import Example
from unlearnkit.models import LanguageModel
from unlearnkit.models.generation import beginning_cache, own_settings
from unlearnkit.models.packing import SHARED, common_beginning
from unlearnkit.records.decoding import GREEDY, Decoding
from unlearnkit.records.record import Record

Answer = tuple[str, int, bool]  # response, its tokens, whether it ended itself


def records_of(sets: dict[str, list[Example]], samples: Mapping[str, int] | None = None) -> list[Record]:
    """One record an example, in the order given, with nothing measured yet; `samples` of them in the sets it names."""
    return [
        Record(
            name,
            example.id,
            example.prompt,
            category=example.category,
            answer=example.response,
            sample=sample,
            alternatives={kind: list(texts) for kind, texts in example.alternatives.items()} or None,
        )
        for name, examples in sets.items()
        for example in examples
        for sample in range((samples or {}).get(name, 1))
    ]


def generate(
    model: LanguageModel,
    records: list[Record],
    max_new_tokens: int,
    batch_size: int = 64,
    desc: str = "Answering",
    decoding: Decoding = GREEDY,
) -> None:
    """Write the model's response to each record's prompt into it; prompts of like length are batched together.

    Ranks share the batches.

    Args:
        max_new_tokens: tokens after which a response is cut off.
    """
    if not records:
        return
    prompts = [model.template.encode_prompt(model.tokenizer, record.prompt) for record in records]
    order = sorted(range(len(records)), key=lambda index: len(prompts[index]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    shares = ranks.count() / len(batches) if decoding.greedy else 1  # a draw depends on its whole batch
    frames = [frame([prompts[index] for index in batch]) for batch in batches]
    pieces = [piece for batch, laid in zip(batches, frames, strict=True) for piece in _pieces(batch, laid, shares)]

    def answer(mine: list[tuple[list[int], Frame]]) -> list[list[Answer]]:
        bar = tqdm(mine, desc=desc, leave=False)
        return [
            _answer(model, [prompts[index] for index in part], laid, max_new_tokens, decoding, part[0])
            for part, laid in bar
        ]

    for (piece, _), answers in zip(pieces, ranks.shared(pieces, answer), strict=True):
        for index, (response, tokens, ended) in zip(piece, answers, strict=True):
            record = records[index]
            record.response, record.tokens, record.ended = response, tokens, ended


@dataclass
class Drawn:
    """Responses that an attack asks for in its own way: here of the model itself, with a decoding of its own."""

    decoding: Decoding

    def __call__(
        self, model: LanguageModel, records: list[Record], max_new_tokens: int, batch_size: int, desc: str
    ) -> None:
        """Write a response into each record, of which every prompt has `decoding.samples`."""
        generate(model, records, max_new_tokens, batch_size, desc, self.decoding)

    def content(self) -> Any:
        """All that decides the responses beside the model and the records; None: nobody knows it."""
        return asdict(self.decoding)


@dataclass(frozen=True)
class Frame:
    """How the prompts of a batch are laid side by side; a part of the batch too, so that its answers are the same.

    Args:
        width: tokens to which the prompts are padded.
        shared: tokens that all begin with, which are computed once; the padding lies behind them.
    """

    width: int
    shared: int = 0


def frame(prompts: Sequence[Sequence[int]]) -> Frame:
    """Of a whole batch. The last token of a prompt is never shared, for the answer goes on from it."""
    sizes = list(map(len, prompts))
    shared = min(len(common_beginning([tuple(prompt) for prompt in prompts])), min(sizes) - 1)
    return Frame(max(sizes), shared if shared >= SHARED and len(prompts) > 1 else 0)


def _pieces(batch: list[int], laid: Frame, shares: float) -> list[tuple[list[int], Frame]]:
    """(a part of the batch, the batch's frame): cut up where there are fewer batches than ranks."""
    size = math.ceil(len(batch) / max(1, math.ceil(shares)))
    return [(batch[start : start + size], laid) for start in range(0, len(batch), size)]


def _answer(
    model: LanguageModel, prompts: list[list[int]], laid: Frame, max_new_tokens: int, decoding: Decoding, place: int
) -> list[Answer]:
    """Response, number of its tokens and whether it ended itself, of each prompt."""
    answers: list[Answer] = []
    for tokens, end in decoded(model, prompts, laid, max_new_tokens, decoding, place):
        response = str(model.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
        ended = end is not None
        answers.append((response, len(tokens) + ended, ended))
    return answers


@torch.inference_mode()
def decoded(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    laid: Frame,
    max_new_tokens: int,
    decoding: Decoding = GREEDY,
    place: int = 0,
) -> list[tuple[list[int], int | None]]:
    """Tokens of each prompt's answer, and the token that ended it; None where it was cut off.

    Args:
        place: of the first prompt among all that are asked, so that equal batches draw apart.
    """
    ends, pad = model.ends, model.tokenizer.pad_token_id
    with model.current() as network, own_settings(network) as answering, _drawn(model, prompts, decoding, place):
        cache = beginning_cache(answering, prompts[0][: laid.shared], len(prompts), model.device)
        shared = 0 if cache is None else laid.shared
        ids = torch.full((len(prompts), laid.width), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            rest = laid.width - len(prompt) + shared
            ids[row, :shared], ids[row, rest:] = torch.tensor(prompt[:shared]), torch.tensor(prompt[shared:])
            mask[row, :shared], mask[row, rest:] = 1, 1
        out = answering.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=max_new_tokens,
            **decoding.arguments(),
            eos_token_id=ends,
            pad_token_id=pad,
            synced_gpus=False,  # ranks answer prompts of their own
            past_key_values=cache,
        )
    return [_ended(row, set(ends)) for row in out[:, laid.width :].tolist()]


@contextlib.contextmanager
def _drawn(model: LanguageModel, prompts: Sequence[Sequence[int]], decoding: Decoding, place: int) -> Iterator[None]:
    """Draws depend on the seed, on what is asked and on its place, and disturb nobody else's."""
    if decoding.greedy:
        yield
        return
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(zlib.crc32(repr((decoding.seed, place, [list(prompt) for prompt in prompts])).encode()))
        yield


def _ended(row: list[int], ends: set[int]) -> tuple[list[int], int | None]:
    place = next((place for place, token in enumerate(row) if token in ends), None)
    return (row, None) if place is None else (row[:place], row[place])
