"""Lay the examples of a step end to end in one row: no padding, a prompt once, logits only at answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models.attention import packed_inputs
from unlearnkit.models.layout import Layout, Piece

Tokens = tuple[tuple[int, ...], tuple[int, ...]]  # prompt ids, response ids


@dataclass
class Packed:
    """One row.

    Args:
        input_ids, position_ids: (1, T); positions go on from the prompt's end in each of its responses.
        layout: who sees whom.
        keep: (K,) positions whose next-token logits are wanted, stream by stream, answer by answer.
        labels: (K,) the answer tokens those logits should predict.
        streams: stream -> its slice of K.
        lengths: stream -> tokens of each answer, the end token included.
        spans: stream -> where each example's prompt and its response, without the last token, lie in the row.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    layout: Layout
    keep: torch.Tensor
    labels: torch.Tensor
    streams: dict[str, slice]
    lengths: dict[str, list[int]]
    spans: dict[str, list[tuple[range, range]]]

    def inputs(self) -> dict[str, Any]:
        """Keyword arguments for the model's forward."""
        return packed_inputs(self.input_ids, self.position_ids, self.layout, self.keep)

    def every(self, stream: str) -> tuple[torch.Tensor, list[int]]:
        """(M,) positions of all tokens of a stream's examples, shared ones in each, and how many each example has."""
        places = [place for spans in self.spans[stream] for span in spans for place in span]
        sizes = [len(prompt) + len(response) for prompt, response in self.spans[stream]]
        return torch.tensor(places, dtype=torch.long, device=self.keep.device), sizes

    def to(self, device: torch.device | str, **_: Any) -> Packed:
        """The same row on a device (accelerate calls this with `non_blocking=`)."""
        return Packed(
            self.input_ids.to(device),
            self.position_ids.to(device),
            self.layout,
            self.keep.to(device),
            self.labels.to(device),
            self.streams,
            self.lengths,
            self.spans,
        )


@dataclass
class _Block:
    prompt: tuple[int, ...]
    responses: dict[tuple[int, ...], int] = field(default_factory=dict)  # response ids -> offset in the block
    size: int = 0


def pack(streams: dict[str, list[Tokens]], share_prompts: bool = True) -> Packed:
    """Pack tokenised examples; equal prompts become one block and equal responses to them one copy.

    The last token of a response predicts nothing, so it is a label but no input. Texts after nothing but a start
    token keep blocks of their own, for one shared token is not worth attention over all of them.
    """

    def key(example: Tokens) -> tuple:
        return example[0] if share_prompts and len(example[0]) > 1 else example

    blocks: dict[tuple, _Block] = {}
    for examples in streams.values():
        for example in examples:
            prompt, response = example
            block = blocks.setdefault(key(example), _Block(prompt, size=len(prompt)))
            if response not in block.responses:
                block.responses[response] = block.size
                block.size += len(response) - 1

    ids: list[int] = []
    positions: list[int] = []
    starts: dict[tuple, int] = {}
    pieces: list[Piece] = []
    for name, block in blocks.items():
        starts[name] = len(ids)
        ids += block.prompt
        positions += range(len(block.prompt))
        for response in block.responses:
            ids += response[:-1]
            positions += range(len(block.prompt), len(block.prompt) + len(response) - 1)
        pieces += _pieces(block, starts[name], first=len(pieces))

    keep: list[int] = []
    labels: list[int] = []
    slices: dict[str, slice] = {}
    lengths: dict[str, list[int]] = {}
    spans: dict[str, list[tuple[range, range]]] = {}
    for stream, examples in streams.items():
        begin = len(keep)
        spans[stream] = []
        for example in examples:
            prompt, response = example
            start = starts[key(example)]
            first = start + blocks[key(example)].responses[response]
            keep += [start + len(prompt) - 1, *range(first, first + len(response) - 1)]
            labels += response
            spans[stream].append((range(start, start + len(prompt)), range(first, first + len(response) - 1)))
        slices[stream] = slice(begin, len(keep))
        lengths[stream] = [len(response) for _, response in examples]
    return Packed(
        torch.tensor([ids]),
        torch.tensor([positions]),
        Layout(pieces),
        torch.tensor(keep),
        torch.tensor(labels),
        slices,
        lengths,
        spans,
    )


def _pieces(block: _Block, start: int, first: int) -> list[Piece]:
    """A prompt with its one response is one piece; several responses each continue the prompt's, which is `first`."""
    sizes = [len(response) - 1 for response in block.responses if len(response) > 1]
    if len(sizes) < 2:
        return [Piece(start, start + block.size)]
    pieces = [Piece(start, start + len(block.prompt))]
    for size in sizes:
        pieces.append(Piece(pieces[-1].end, pieces[-1].end + size, continues=first))
    return pieces


class Tokenise:
    """Example -> Tokens, each once, refusing what the context cannot hold.

    Args:
        encode: (prompt, response) -> prompt ids, response ids.
        max_length: tokens an example may have.
        truncate: cut longer responses instead of refusing them.
    """

    def __init__(
        self,
        encode: Callable[[str, str], tuple[list[int], list[int]]],
        max_length: int,
        truncate: bool = False,
    ):
        self.encode, self.max_length, self.truncate = encode, max_length, truncate
        self._known: dict[tuple[str, str], Tokens] = {}

    def __call__(self, example: Example) -> Tokens:
        key = (example.prompt, example.response)
        if key not in self._known:
            self._known[key] = self._tokens(example)
        return self._known[key]

    def _tokens(self, example: Example) -> Tokens:
        prompt, response = self.encode(example.prompt, example.response)
        excess = len(prompt) + len(response) - self.max_length
        if excess > 0 and not (self.truncate and excess < len(response)):
            raise UserError(
                f"Example '{example.id}' has {len(prompt)} + {len(response)} tokens (prompt + response), the"
                f" context holds {self.max_length}",
                "Shorten it, raise train.max_length if the model allows it, or set train.truncate=true",
            )
        return tuple(prompt), tuple(response[: len(response) - excess] if excess > 0 else response)
