"""Second moments of an MLP's keys over text: what a closed-form edit should leave alone (Meng et al. 2023, eq. 15)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.cache import find_entry, load_or_make
from unlearnkit.data import authors, mischief
from unlearnkit.data.corpus import paragraphs
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import anatomy
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.packing import pack
from unlearnkit.models.reading import Outputs, read
from unlearnkit.settings.bounds import Positive, Seed
from unlearnkit.stages.activations import inputs_of
from unlearnkit.stages.rewriting import key_width
from unlearnkit.stages.samples import sample, start_token

FILE = "moment.safetensors"
KIND = "covariances"
SAMPLED, EMBEDDED = "samples", "embedded"


@dataclass(frozen=True)
class Moment:
    """C = mean of k k^T over the tokens of a text.

    Args:
        matrix: (d_k, d_k) in fp64 on the CPU.
        tokens: how many keys it is the mean of.
        error: what another text of this size would change: its relative standard error in the Frobenius norm,
            |C_1 - C_2| / 2|C| of the two halves (every other text). The start token's key, which is the same in
            every text and often the longest by far, counts in `matrix` and not in `error`.
    """

    matrix: torch.Tensor
    tokens: int
    error: float


@dataclass(frozen=True)
class Text:
    """What second moments are taken over.

    Args:
        corpus: "samples" (the model's own, drawn after its start token), "embedded" (this project's data), or
            whatever `unlearnkit.data.corpus.paragraphs` reads: a file, a folder, an address, hf://datasets/...
        tokens: how many are read; None for ten times the keys' width.
        length: tokens of a piece; longer texts are cut into several.
        seed: of the samples.
    """

    corpus: str = SAMPLED
    tokens: Positive | None = None
    length: Positive = 128
    seed: Seed = 0

    def content(self, tokens: int) -> dict[str, Any]:
        """All that decides the tokens that are read, besides the model."""
        path = Path(self.corpus).expanduser()
        read = _embedded() if self.corpus == EMBEDDED else path if path.exists() else self.corpus
        return {"read": read, "tokens": tokens, "length": self.length, "seed": self.seed}

    def pieces(self, model: LanguageModel, network: Any, tokens: int) -> Iterator[tuple[int, list[int]]]:
        """(number of the text, token ids of a piece without the start token), `tokens` in all where there are."""
        texts = self._sampled(model, network) if self.corpus == SAMPLED else self._tokenised(model)
        left = tokens
        for number, ids in enumerate(texts):
            for start in range(0, len(ids), self.length):
                piece = ids[start : start + self.length][:left]
                left -= len(piece)
                if piece:
                    yield number, piece
                if not left:
                    return

    def _tokenised(self, model: LanguageModel) -> Iterator[list[int]]:
        for text in _embedded() if self.corpus == EMBEDDED else paragraphs(self.corpus):
            yield model.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _sampled(self, model: LanguageModel, network: Any) -> Iterator[list[int]]:
        start = [start_token(model.tokenizer)]
        for batch in itertools.count():
            drawn = sample(network, model.tokenizer, [start] * 32, self.length, self.seed * 10_000 + batch)
            if not any(drawn):
                return
            yield from drawn


def key_moments(model: LanguageModel, layers: list[int], text: Text) -> dict[int, Moment]:
    """Layer -> second moment of the inputs of its value vectors, in the model as it was loaded; cached.

    That model stands for what was learnt in pre-training, whatever it was taught since.

    Raises:
        UserError: no text, or so little that the matrix has no inverse.
    """
    widths = {layer: key_width(anatomy(model.model)[layer].value_vectors) for layer in layers}
    tokens = text.tokens or 10 * max(widths.values())
    decides = {"model": fingerprint(model), "text": text.content(tokens)}
    content = {layer: {**decides, "layer": layer} for layer in layers}
    missing = ranks.from_first(lambda: [layer for layer in layers if find_entry(KIND, content[layer]) is None])

    @functools.cache
    def made() -> dict[int, Moment]:
        return compute(model, missing, text, tokens)  # from one pass, when the first of them is made

    def make(folder: Path, layer: int) -> None:
        moments = made() if layer in missing else compute(model, [layer], text, tokens)
        _write(moments[layer], folder / FILE)

    return {
        layer: load_or_make(
            KIND, content[layer], functools.partial(make, layer=layer), lambda folder: _read(folder / FILE)
        )
        for layer in layers
    }


@torch.no_grad()
def compute(model: LanguageModel, layers: list[int], text: Text, tokens: int) -> dict[int, Moment]:
    """The moments, from one pass over the text."""
    halves = {layer: _Halves() for layer in layers}
    bar = tqdm(total=tokens, desc=f"Second moments of keys ({text.corpus})", leave=False)
    with model.loaded() as network, bar:
        modules = {layer: anatomy(network)[layer].value_vectors for layer in layers}
        for row in _rows(text.pieces(model, network, tokens)):
            start, end = start_token(model.tokenizer), model.tokenizer.eos_token_id
            # An example's last token is no input, so that the end token only makes way for the piece's own.
            packed = pack({"text": [((start,), (*ids, end)) for ids in row]}, shared=None).to(model.device)
            with inputs_of(modules) as seen:
                read(network, packed, Outputs(logits=False, layers=frozenset({max(layers)})))
            for layer, keys in seen.items():
                for piece, number in zip(packed.layout.pieces, row.values(), strict=True):
                    halves[layer].add(keys[piece.start : piece.end], number % 2)
            bar.update(sum(map(len, row)))
    return {layer: half.moment(text.corpus) for layer, half in halves.items()}


class _Halves:
    """Sums over the keys of even and of odd texts, and the start token's key apart."""

    def __init__(self) -> None:
        self.sums: list[torch.Tensor | float] = [0.0, 0.0]
        self.counts = [0, 0]
        self.starts = 0
        self.start: torch.Tensor | None = None

    def add(self, keys: torch.Tensor, half: int) -> None:
        keys = keys.double()
        self.start, self.starts = keys[0], self.starts + 1
        self.sums[half] = self.sums[half] + keys[1:].T @ keys[1:]
        self.counts[half] += len(keys) - 1

    def moment(self, corpus: str) -> Moment:
        count = sum(self.counts)
        if self.start is None or count < len(self.start):
            width = 0 if self.start is None else len(self.start)
            raise UserError(
                f"The corpus '{corpus}' gave {count} tokens; keys {width} wide need that many at least",
                "Give more text with stages.memit.text.corpus=FILE, or raise stages.memit.text.tokens=",
            )
        total = self.sums[0] + self.sums[1]
        assert isinstance(total, torch.Tensor)
        error = math.nan  # of a single text nothing can be said
        if all(self.counts):
            apart = self.sums[0] / self.counts[0] - self.sums[1] / self.counts[1]
            error = float(torch.linalg.norm(apart) / (2 * torch.linalg.norm(total / count)))
        matrix = (total + self.starts * torch.outer(self.start, self.start)) / (count + self.starts)
        return Moment(matrix.cpu(), count + self.starts, error)


def _rows(pieces: Iterator[tuple[int, list[int]]], tokens_a_row: int = 2048) -> Iterator[dict[tuple[int, ...], int]]:
    """Pieces for a packed row: token ids -> number of the text; one that is in it already begins the next row."""
    row: dict[tuple[int, ...], int] = {}
    for number, ids in pieces:
        if row and (tuple(ids) in row or sum(map(len, row)) + len(ids) > tokens_a_row):
            yield row
            row = {}
        row[tuple(ids)] = number
    if row:
        yield row


def _embedded() -> list[str]:
    """Questions and answers of the embedded data, the authors' and everyday ones."""
    rows = [*authors.load(authors=20).streams["target"], *mischief.load().streams["retain"]]
    return [f"{row.prompt} {row.response}" for row in rows]


def _write(moment: Moment, path: Path) -> None:
    metadata = {"tokens": str(moment.tokens), "error": repr(moment.error)}
    save_file({"matrix": moment.matrix.contiguous()}, path, metadata=metadata)


def _read(path: Path) -> Moment:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        return Moment(file.get_tensor("matrix"), int(metadata["tokens"]), float(metadata["error"]))
