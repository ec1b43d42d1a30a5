"""BLEU of the generated response against the original model's."""

from functools import cache

from sacrebleu.metrics import BLEU

from unlearnkit.measures.interval import Estimate, bounded_mean
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.records.record import Record


def bleu(records: list[Record], seed: int = 0) -> Estimate:
    """Mean over questions of the sentence BLEU (Papineni et al. 2002) of a response against the original's; 0 to 100.

    By `sacrebleu`: up to 4-grams, its default tokeniser, case kept, exponential smoothing, and effective order, so
    that a response of two words is judged on what n-grams it has. Hong et al. 2024 report "the average scores of BLEU
    by comparing the model's response before and after unlearning" (section 4) and name no implementation: the
    average over questions is theirs, tokeniser and smoothing are ours, so that values compare within one
    implementation only.

    Where the original's response is empty, an empty one has 100 and any other 0. Records that were not answered are
    left out.
    """
    scores = per_prompt((r, _sentence(r.response, r.original)) for r in records if r.tokens)
    return bounded_mean(scores, seed, (0.0, 100.0))


@cache
def _scorer() -> BLEU:
    return BLEU(effective_order=True)


def _sentence(response: str, original: str) -> float:
    if response.split() == original.split():  # what sacrebleu gives but for rounding, and where both are empty
        return 100.0
    if not response.strip() or not original.strip():
        return 0.0
    return float(_scorer().sentence_score(response, [original]).score)
