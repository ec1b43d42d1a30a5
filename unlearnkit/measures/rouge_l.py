"""Overlap of the generated response with the data's own answer."""

from __future__ import annotations

import functools
from typing import Any, Literal

from unlearnkit.measures.base import GONE, Measure
from unlearnkit.records.record import Record


class RougeL(Measure):
    """Mean ROUGE-L (Lin 2004; `rouge-score` with stemming) over the records that were answered; 0 to 1.

    Words are those of any script, see `Words`; of English they are `rouge-score`'s own.

    Args:
        of: F1, or how much of the answer the response has ("recall"), or of the response the answer ("precision").
    """

    reads = ("response",)
    better = GONE
    rate, decimals = True, 1

    def __init__(self, of: Literal["fmeasure", "recall", "precision"] = "fmeasure"):
        self.of = of

    @functools.cached_property
    def scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer  # seconds, and who only shows a number needs none

        from unlearnkit.measures.words import Words

        return RougeScorer(["rougeL"], tokenizer=Words())

    def value(self, record: Record, role: str | None) -> float | None:
        return self.overlap(record.answer, record.response) if record.tokens else None

    def overlap(self, answer: str, text: str) -> float:
        """Of one text with the answer."""
        return float(getattr(self.scorer.score(answer, text)["rougeL"], self.of))


class RougeLAsPublished(RougeL):
    """The same of the teacher-forced text: what argmax says in each place of the answer, after the answer's own tokens.

    Tian et al. 2024 define none; their evaluation code writes this text beside the answer's and generates nothing. It
    follows `Success`, from which it differs in counting words.
    """

    reads = ("forced",)

    def value(self, record: Record, role: str | None) -> float | None:
        return None if record.forced is None else self.overlap(record.answer, record.forced)
