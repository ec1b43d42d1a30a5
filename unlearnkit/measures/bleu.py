"""BLEU of the generated response against the start model's."""

from functools import cached_property
from typing import Any

from unlearnkit.measures.base import GONE, Measure
from unlearnkit.measures.seeds import Scale
from unlearnkit.records.record import Record


class Bleu(Measure):
    """Mean over questions of the sentence BLEU (Papineni et al. 2002) of a response against the start's; 0 to 100.

    By `sacrebleu`: up to 4-grams, its default tokeniser, case kept, exponential smoothing, and effective order, so
    that a response of two words is judged on what n-grams it has. Hong et al. 2024 report "the average scores of BLEU
    by comparing the model's response before and after unlearning" (section 4) and name no implementation: the
    average over questions is theirs, tokeniser and smoothing are ours, so that values compare within one
    implementation only.

    Where the start's response is empty, an empty one has 100 and any other 0. Records that were not answered are
    left out.
    """

    reads = ("response", "original")
    better = GONE
    scale, decimals = Scale(0.0, 100.0), 1

    @cached_property
    def scorer(self) -> Any:
        from sacrebleu.metrics import BLEU  # a training needs none

        return BLEU(effective_order=True)

    def value(self, record: Record, role: str | None) -> float | None:
        if not record.tokens:
            return None
        if record.response.split() == record.original.split():  # what sacrebleu gives but for rounding, and both empty
            return 100.0
        if not record.response.strip() or not record.original.strip():
            return 0.0
        return float(self.scorer.sentence_score(record.response, [record.original]).score)


class BleuAsPublished(Bleu):
    """The same by the code of ConceptVectors, from which Hong et al. 2024 take their evaluation.

    nltk's sentence BLEU, words parted at spaces, smoothed by its method 3, and the other way round: the response is the
    reference and the start's the candidate. Equal texts of fewer than four words have less than 100.
    """

    def value(self, record: Record, role: str | None) -> float | None:
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

        if not record.tokens:
            return None
        words, candidate = record.response.split(), record.original.split()
        return 100 * float(sentence_bleu([words], candidate, smoothing_function=SmoothingFunction().method3))
