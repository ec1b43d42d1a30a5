"""What each layer would say, if it were the last."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from unlearnkit.attacks.inside import Inside, each_answer, layers, log_probs, means, peak, tokens_of
from unlearnkit.measures.interval import Estimate, bounded_mean
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Packed
from unlearnkit.models.states import logits_from
from unlearnkit.records.record import Record

SEEN = "probability"


class LogitLens(Inside):
    r"""Each layer's state through the final norm and head (nostalgebraist 2020; Łucki et al. 2024, arXiv 2409.18025).

    .. math:: \exp \frac{1}{|y|} \sum_t \log p_l(y_t \mid x, y_{<t})

    is the probability of an answer's tokens at layer l, their end token included. At the last layer it is the model's
    own. `last` is that; `peak` is the layer's at which it is highest, chosen on every other row and told of the rest.
    """

    def look(self, model: LanguageModel, records: list[Record], control: bool) -> None:
        examples = [tokens_of(model, record.prompt, record.answer) for record in records]
        with model.current() as network:

            def seen(first: int, row: Packed, states: torch.Tensor, logits: torch.Tensor) -> Iterator[list[float]]:
                last, inputs = len(states) - 1, row.inputs()
                own = [log_probs(logits_from(network, inputs, last, state), row) for state in states[:last]]
                return means(torch.stack([*own, log_probs(logits, row)]), row)

            looks = each_answer(network, examples, seen)
        for record, values in zip(records, looks, strict=True):
            record.by_layer = {SEEN: [math.exp(value) for value in values]}

    def numbers(self, records: list[Record], seed: int) -> dict[str, Estimate]:
        rows = [(record.by_layer or {})[SEEN] for record in records]
        last = bounded_mean([row[-1] for row in rows], seed)
        return {"peak": peak(rows, seed), "last": last, **layers(rows, seed)}
