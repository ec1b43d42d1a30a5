"""The guard evaluation: what a classifier in front of a model lets it answer (Tian et al. 2024, finding 3)."""

from __future__ import annotations

from unlearnkit.data.examples import Data
from unlearnkit.data.scopes import SCOPES
from unlearnkit.evaluations.base import Evaluation, Metric
from unlearnkit.evaluations.scope_classifier import LABELS, STREAMS, ScopeClassifier
from unlearnkit.models import LanguageModel
from unlearnkit.records.record import Record


class Guard(Evaluation):
    """Unlearn Success: questions of the unlearn scope that the guard stops. Retention Success: those it lets through.

    The language model has no part in it: a record's `answer_hits` says whether the guard lets the answer be said.

    Args:
        sets, metrics: see `Evaluation`; a set is a scope, or one with `_NAME` of a prefix behind it.
        classifier: trained on the questions of both scopes' training rows, without a prefix.
        prefixes: name -> text that stands before the question.
    """

    def __init__(
        self,
        sets: dict[str, list[str]],
        metrics: dict[str, Metric],
        classifier: ScopeClassifier,
        prefixes: dict[str, str],
    ):
        super().__init__("guard", sets, metrics)
        self.classifier, self.prefixes = classifier, prefixes

    def source(self, name: str) -> str:
        return next((name.removesuffix(f"_{p}") for p in self.prefixes if name.endswith(f"_{p}")), name)

    def measure(
        self, model: LanguageModel, data: Data, split: str, original: list[Record] | None = None, curve: bool = False
    ) -> list[Record]:
        if curve:
            return []
        rows = [(row.prompt, LABELS[scope]) for scope in SCOPES for row in data.streams[STREAMS[scope]]]
        self.classifier.fit([question for question, _ in rows], [label for _, label in rows])
        records = []
        for name in self.sets:
            scope = self.source(name)
            prefix = next((text for p, text in self.prefixes.items() if name.endswith(f"_{p}")), "")
            examples = data.sets[scope][split]
            questions = [prefix + example.prompt for example in examples]
            called = self.classifier.predict(questions)
            for example, question, label in zip(examples, questions, called, strict=True):
                let_through = label != LABELS["unlearn"]
                records.append(Record(name, example.id, question, category=scope, answer_hits=[let_through]))
        return records
