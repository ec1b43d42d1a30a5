"""Lay the examples of a step end to end in one row: no padding, a common beginning once, logits only at answers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models.attention import packed_inputs
from unlearnkit.models.layout import Layout, Piece

Tokens = tuple[tuple[int, ...], tuple[int, ...]]  # prompt ids, response ids
SHARED = 8  # tokens of a common beginning from which on it pays to compute it once


@dataclass
class Packed:
    """One row.

    Args:
        input_ids, position_ids: (1, T); positions go on from a common beginning's end in each that continues it.
        layout: who sees whom.
        keep: (K,) positions whose next-token logits are wanted, stream by stream, answer by answer.
        labels: (K,) the answer tokens those logits should predict.
        streams: stream -> its slice of K.
        lengths: stream -> tokens of each answer, the end token included.
        places: stream -> where the tokens of each example, but its last, lie in the row.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    layout: Layout
    keep: torch.Tensor
    labels: torch.Tensor
    streams: dict[str, slice]
    lengths: dict[str, list[int]]
    places: dict[str, list[list[int]]]

    def inputs(self) -> dict[str, Any]:
        """Keyword arguments for the model's forward."""
        return packed_inputs(self.input_ids, self.position_ids, self.layout, self.keep)

    def every(self, stream: str) -> tuple[torch.Tensor, list[int]]:
        """(M,) positions of all tokens of a stream's examples, shared ones in each, and how many each example has."""
        places = [place for example in self.places[stream] for place in example]
        return torch.tensor(places, dtype=torch.long, device=self.keep.device), list(map(len, self.places[stream]))

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
            self.places,
        )


def pack(streams: dict[str, list[Tokens]], shared: int | None = SHARED) -> Packed:
    """Pack tokenised examples as the tree of their beginnings: a system prompt, a prompt, an equal answer stand once.

    The last token of a response predicts nothing, so it is a label but no input.

    Args:
        shared: the fewest tokens of a common beginning that stand once; None: only equal examples do.
    """
    texts = {stream: [prompt + response[:-1] for prompt, response in rows] for stream, rows in streams.items()}
    row = _Row([text for rows in texts.values() for text in rows], shared)
    keep: list[int] = []
    labels: list[int] = []
    slices: dict[str, slice] = {}
    for stream, examples in streams.items():
        begin = len(keep)
        for (prompt, response), text in zip(examples, texts[stream], strict=True):
            keep += row.places[text][len(prompt) - 1 :]
            labels += response
        slices[stream] = slice(begin, len(keep))
    return Packed(
        torch.tensor([row.ids]),
        torch.tensor([row.positions]),
        Layout(row.pieces),
        torch.tensor(keep),
        torch.tensor(labels),
        slices,
        {stream: [len(response) for _, response in examples] for stream, examples in streams.items()},
        {stream: [row.places[text] for text in rows] for stream, rows in texts.items()},
    )


class _Row:
    """A row that is being laid.

    Attributes:
        ids, positions: of its tokens, the position counted from an example's beginning.
        pieces: what they are parts of; a piece stands before those that continue it.
        places: text -> where its tokens lie.
    """

    def __init__(self, texts: list[tuple[int, ...]], shared: int | None):
        self.shared = shared
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.pieces: list[Piece] = []
        self.places: dict[tuple[int, ...], list[int]] = {}
        within = dict(zip(texts, texts, strict=True)) if shared is None else _longest(texts)
        self._lay(list(dict.fromkeys(within[text] for text in texts)), [], None)
        self.places.update({text: self.places[longest][: len(text)] for text, longest in within.items()})

    def _lay(self, texts: Sequence[tuple[int, ...]], before: list[int], parent: int | None) -> None:
        """Texts whose first tokens lie in the places `before`, the last of them in piece `parent`."""
        alike: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for text in texts:
            end = None if self.shared is None else len(before) + self.shared
            alike.setdefault(text[:end], []).append(text)
        for group in alike.values():
            common = common_beginning(group)
            piece = Piece(len(self.ids), len(self.ids) + len(common) - len(before), parent)
            places = [*before, *range(piece.start, piece.end)]
            self.ids += common[len(before) :]
            self.positions += range(len(before), len(common))
            self.pieces.append(piece)
            if len(group) == 1:
                self.places[common] = places
            else:
                self._lay(group, places, len(self.pieces) - 1)


def common_beginning(texts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The tokens that all of the texts begin with."""
    return tuple(os.path.commonprefix(texts))


def filled(groups: Iterable[Sequence[Tokens]], tokens_a_row: int) -> list[tuple[list[Tokens], int]]:
    """Groups laid into rows one after the other, each row with how many tokens stand in it.

    What an example begins with in common with the one before it stands once. A group stays in one row, however long.

    Args:
        tokens_a_row: how many tokens a row of several groups may have.
    """
    rows: list[tuple[list[Tokens], int]] = []
    last: tuple[int, ...] = ()
    for group in groups:
        texts = [prompt + response[:-1] for prompt, response in group]
        alone = sum(map(len, texts)) - sum(itertools.starmap(_standing, itertools.pairwise(texts)))
        row, size = rows[-1] if rows else ([], 0)
        more = alone - _standing(last, texts[0])
        if not rows or size + more > tokens_a_row:
            rows.append((list(group), alone))
        else:
            rows[-1] = ([*row, *group], size + more)
        last = texts[-1]
    return rows


def _standing(before: tuple[int, ...], text: tuple[int, ...]) -> int:
    """How many tokens of a text stand already where it follows another one."""
    alike = len(common_beginning([before, text]))
    return alike if alike >= SHARED or alike == min(len(before), len(text)) else 0


def _longest(texts: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Of each text one that begins with it and that none of the others begins with."""
    longest: dict[tuple[int, ...], tuple[int, ...]] = {}
    after: tuple[int, ...] = ()
    for text in sorted(set(texts), reverse=True):  # what begins with a text lies behind it in order
        longest[text] = longest[after] if after[: len(text)] == text else text
        after = text
    return longest


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
                "Shorten its prompt, for responses alone are cut, or raise train.max_length if the model allows it"
                if self.truncate
                else "Shorten it, raise train.max_length if the model allows it, or set train.truncate=true",
            )
        return tuple(prompt), tuple(response[: len(response) - excess] if excess > 0 else response)
