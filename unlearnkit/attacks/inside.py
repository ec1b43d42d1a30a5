"""Looking inside of a model that is left as it is: numbers by layer, of the answers that were to be forgotten."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from unlearnkit import ranks
from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.spread import spread
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Numbers, Part, Point
from unlearnkit.measures.columns import INSIDE
from unlearnkit.measures.interval import Estimate, bounded_mean
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Packed, Tokens, pack
from unlearnkit.models.states import states_of
from unlearnkit.records.generate import records_of
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive

TOKENS_A_ROW = 512


class Inside(Attack):
    """An attack that asks nothing: it looks at the layers while the model is given the answers of the forget side.

    Args:
        limit: rows a set, spread over their categories; all if None.
    """

    least = 1  # rows that it needs

    def __init__(self, limit: Positive | None = 40):
        self.limit = limit

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        data = scene.data
        sets = {key: splits.get("test", []) for key, splits in data.sets.items()}
        by_set = _answered(data, sets) or _answered(data, data.streams)
        self.rows = {key: spread(rows, self.limit) for key, rows in by_set.items()}
        if sum(map(len, self.rows.values())) < self.least:
            raise UserError(
                f"The attack '{name}' looks at answers that were to be forgotten, and needs {self.least}: the data"
                f" '{data.name}' have {sum(map(len, self.rows.values()))} on the forget side",
                f"Take other data, or leave '{name}' out of +attack=",
            )
        self._own = Evaluations({INSIDE: _Looks(self)}, data, scene.seed)

    def measured_by(self, evaluations: Evaluations) -> Evaluations:
        return self._own

    @abstractmethod
    def look(self, model: LanguageModel, records: list[Record], control: bool) -> None:
        """Fill `by_layer` of the records of `rows`.

        Args:
            control: the model is the one that never knew.
        """

    @abstractmethod
    def numbers(self, records: list[Record], seed: int) -> dict[str, Estimate]:
        """`layer_00`, `layer_01`, ... and what is told in tables, of the records of one set; a pure function."""


class _Looks(Part):
    """What an attack saw, as records and their numbers."""

    def __init__(self, attack: Inside):
        self.attack = attack

    def measure(self, model: LanguageModel, point: Point, original: list[Record] | None) -> list[Record]:
        records = records_of(self.attack.rows)
        self.attack.look(model, records, point.control)
        return records

    def compute(
        self, records: list[Record], seed: int = 0, controls: Mapping[str, list[Record]] | None = None
    ) -> Numbers:
        results = {}
        for name in dict.fromkeys(record.set for record in records):
            numbers = self.attack.numbers([record for record in records if record.set == name], seed)
            if numbers:
                results[name] = {measure: asdict(estimate) for measure, estimate in numbers.items()}
        return results


def _answered(data: Data, parts: Mapping[str, Sequence[Example]]) -> dict[str, list[Example]]:
    answered = {
        name: list({row.prompt: row for row in rows if row.prompt and row.response}.values())
        for name, rows in parts.items()
        if data.role(name) == "forget"
    }
    return {name: rows for name, rows in answered.items() if rows}


def tokens_of(model: LanguageModel, prompt: str, answer: str) -> Tokens:
    """Ids of a prompt, and of an answer with the token that ends it where the template closes answers."""
    prompt_tokens, answer_tokens = model.template.encode(model.tokenizer, prompt, answer)
    return tuple(prompt_tokens), tuple(answer_tokens)


def packed_rows(examples: Sequence[Tokens], device: torch.device | str) -> list[tuple[int, Packed]]:
    """The examples in their order, in rows of about `TOKENS_A_ROW` tokens, each with the place of its first."""
    rows: list[list[Tokens]] = [[]]
    size = 0
    for example in examples:
        length = sum(map(len, example))
        if rows[-1] and size + length > TOKENS_A_ROW:
            rows.append([])
            size = 0
        rows[-1].append(example)
        size += length
    firsts = np.cumsum([0, *map(len, rows)]).tolist()
    return [(first, pack({"answers": row}).to(device)) for first, row in zip(firsts, rows, strict=False)]


Make = Callable[[int, Packed, torch.Tensor, torch.Tensor], Iterable[Any]]


@torch.inference_mode()
def each_answer(network: Any, examples: Sequence[Tokens], make: Make) -> list[Any]:
    """What `make` gives of each answer, in order; ranks share the rows.

    Args:
        make: of the place of a row's first answer, the packed row, its layers' outputs (L, T, H) and its logits
            (K, V) -> one thing an answer.
    """

    def work(rows: list[tuple[int, Packed]]) -> list[list[Any]]:
        return [list(make(first, row, *states_of(network, row.inputs()))) for first, row in rows]

    by_rank = ranks.shared(packed_rows(examples, network.device), work)
    return [thing for row in by_rank for thing in row]


def means(values: torch.Tensor, row: Packed) -> Iterator[list[float]]:
    """(L, K) numbers of a row's answer tokens -> each answer's means, one a layer."""
    for part in values.double().split(row.lengths["answers"], dim=1):
        yield part.mean(1).tolist()


def log_probs(logits: torch.Tensor, row: Packed) -> torch.Tensor:
    """(K,) of the answer tokens, from logits (K, V)."""
    wide = logits.float()
    return wide.gather(-1, row.labels[:, None])[:, 0] - wide.logsumexp(-1)


def layers(rows: Sequence[Sequence[float]], seed: int, mean: Any = bounded_mean) -> dict[str, Estimate]:
    """`layer_00`, ... of each prompt's numbers, one a layer."""
    return {f"layer_{layer:02}": mean(list(values), seed) for layer, values in enumerate(zip(*rows, strict=True))}


def peak(rows: Sequence[Sequence[float]], seed: int, mean: Any = bounded_mean) -> Estimate:
    """The number of the layer at which it is highest: chosen on every other prompt, and reported on the rest.

    Of layers that are equally high the last.
    """
    chosen, reported = rows[::2], rows[1::2] or rows
    by_layer = np.mean(chosen, axis=0)
    best = int(np.flatnonzero(by_layer == by_layer.max())[-1])
    return mean([row[best] for row in reported], seed)  # type: ignore[no-any-return]
