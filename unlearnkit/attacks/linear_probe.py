"""Whether a line through the states of a layer tells right answers from wrong ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import torch

from unlearnkit.attacks.base import Scene
from unlearnkit.attacks.inside import Inside, each_answer, layers, peak, tokens_of
from unlearnkit.errors import UserError
from unlearnkit.measures.interval import Estimate, share
from unlearnkit.measures.truth_ratio import WRONG
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Packed, Tokens
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import AboveZero, Positive

SEPARATION = "told_apart"


class LinearProbe(Inside):
    """Logistic regression on the state of an answer's last token: is the answer the right one to its question?

    A number a fact and layer: 1 where a probe that was made on other facts finds the right answer likelier than the
    wrong one, else 0; chance is a half. The wrong answer is the data's, or else that of the next fact on the same side
    of the cross-validation, so that no answer stands on both sides either. What a model that never knew reaches comes
    from how answers look, and counts as nothing.

    Args:
        folds: of the cross-validation over facts.
        strength: the inverse of the ridge penalty, as sklearn's C.
    """

    def __init__(self, limit: Positive | None = None, folds: Positive = 5, strength: AboveZero = 1.0):
        super().__init__(limit)
        self.folds, self.strength, self.least = folds, strength, 2 * folds

    def bind(self, name: str, scene: Scene) -> None:
        if self.folds < 2:
            raise UserError(
                f"attacks.{name}.folds={self.folds} leaves no other side to test on",
                f"Set attacks.{name}.folds=2 or more",
            )
        super().bind(name, scene)

    def look(self, model: LanguageModel, records: list[Record], control: bool) -> None:
        sides = np.arange(len(records)) % self.folds
        wrong = [_wrong(records, number, self.folds) for number in range(len(records))]
        answers = [record.answer for record in records] + wrong
        examples = [_seen(model, record.prompt, answer) for record, answer in zip(records * 2, answers, strict=True)]
        with model.current() as network:
            states = np.stack(each_answer(network, examples, _last))
        apart = separation(states[: len(records)], states[len(records) :], sides, self.strength)
        for record, row in zip(records, apart, strict=True):
            record.by_layer = {SEPARATION: row}

    def numbers(self, records: list[Record], seed: int) -> dict[str, Estimate]:
        rows = [(record.by_layer or {})[SEPARATION] for record in records]
        return {"peak": peak(rows, seed, share), **layers(rows, seed, share)}


def separation(right: np.ndarray, wrong: np.ndarray, sides: np.ndarray, strength: float = 1.0) -> list[list[float]]:
    """1 a fact and layer where its right answer is found likelier than its wrong one, 0.5 where equally likely.

    Args:
        right, wrong: (N, L, H) the states of each fact's two answers.
        sides: (N,) the fold that each fact is tested in; the probe is made on the others.
    """
    from sklearn.exceptions import ConvergenceWarning  # seconds, and only this attack needs them
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = np.zeros(right.shape[:2])
    for layer in range(right.shape[1]):
        for side in np.unique(sides):
            rest, own = sides != side, sides == side
            known = np.concatenate([right[rest, layer], wrong[rest, layer]])
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                probe.fit(known, np.repeat([1, 0], rest.sum()))
            first, second = (probe.decision_function(part[own, layer]) for part in (right, wrong))
            scores[own, layer] = (first > second) + 0.5 * (first == second)
    return [list(map(float, row)) for row in scores]


def _wrong(records: list[Record], number: int, folds: int) -> str:
    wrong = (records[number].alternatives or {}).get(WRONG)
    if wrong:
        return wrong[0]
    beside = range(number % folds, len(records), folds)
    return records[beside[(number // folds + 1) % len(beside)]].answer


def _seen(model: LanguageModel, prompt: str, answer: str) -> Tokens:
    """With one token behind the answer, so that its last one is read."""
    prompt_ids, answer_ids = tokens_of(model, prompt, answer)
    return prompt_ids, answer_ids if model.template.closed else (*answer_ids, model.template.end(model.tokenizer))


def _last(first: int, row: Packed, states: torch.Tensor, logits: torch.Tensor) -> Iterator[np.ndarray]:
    """(L, H) at each answer's last token, which is the last that predicts something."""
    for end in accumulate(row.lengths["answers"]):
        yield states[:, row.keep[end - 1]].float().cpu().numpy()
