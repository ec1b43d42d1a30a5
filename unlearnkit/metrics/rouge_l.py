"""Overlap of the generated response with the data's own answer."""

from rouge_score.rouge_scorer import RougeScorer

from unlearnkit.metrics.interval import Estimate, estimate
from unlearnkit.records.record import Record


def rouge_l(records: list[Record], seed: int = 0) -> Estimate:
    """Mean ROUGE-L F1 (Lin 2004; `rouge-score` with stemming) over the records that were answered; 0 to 1."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    answered = [record for record in records if record.tokens]
    return estimate([scorer.score(r.answer, r.response)["rougeL"].fmeasure for r in answered], seed=seed)
