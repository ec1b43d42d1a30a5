"""Overlap of the generated response with the data's own answer."""

from rouge_score.rouge_scorer import RougeScorer

from unlearnkit.measures.interval import Estimate, bounded_mean
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.measures.words import Words
from unlearnkit.records.record import Record


def rouge_l(records: list[Record], seed: int = 0) -> Estimate:
    """Mean ROUGE-L F1 (Lin 2004; `rouge-score` with stemming) over the records that were answered; 0 to 1.

    Words are those of any script, see `Words`; of English they are `rouge-score`'s own.
    """
    scorer = RougeScorer(["rougeL"], tokenizer=Words())
    answered = (record for record in records if record.tokens)
    scores = per_prompt((r, scorer.score(r.answer, r.response)["rougeL"].fmeasure) for r in answered)
    return bounded_mean(scores, seed)
