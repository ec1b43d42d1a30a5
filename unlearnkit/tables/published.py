"""The columns of the papers' tables, and of run folders of earlier versions, by today's names.

A paper's column names its side (`unlearn_success`); a measure of ours does not (`success`), for its set's role says it.
Sweeps are written, and asked for, by the papers' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unlearnkit import measures as m
from unlearnkit.data.roles import BY_NAME, OF_BENCHMARKS
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import accuracy

MEASURES: dict[str, m.Measure] = {
    "harmful_rate": m.HarmfulRate(),
    "perplexity": m.Perplexity(),
    "answer_perplexity": m.AnswerPerplexity(),
    "similarity": m.Similarity(),
    "bleurt": m.Similarity(bounds=None),
    "success": m.Success(),
    "success_whole": m.SuccessWhole(),
    "rouge_l": m.RougeL(),
    "rouge_l_as_published": m.RougeLAsPublished(),
    "bleu": m.Bleu(),
    "bleu_as_published": m.BleuAsPublished(),
    "average_success": m.Mean({"forget": "success", "retain": "success"}),
    "probability": m.Probability(),
    "truth_ratio": m.TruthRatio(),
    "forget_quality": m.KSTest("truth_ratio_share", "forget", "never_knew"),
    "extraction_strength": m.ExtractionStrength(),
    "knowmem": m.KnowMem(),
    "verbmem": m.RougeL(),
    "rouge_l_recall": m.RougeL("recall"),
    "loss": m.MembershipLoss(),
    "min_k": m.MinK(),
    "min_k_auc": m.AUC("min_k"),
    "loss_auc": m.AUC("loss"),
    "privleak": m.PrivLeak("min_k"),
    "model_utility": m.HarmonicMean({"retain": "probability"}),  # and more; of any it is shown alike
}
RENAMED = {
    **{f"{side}_{name}": name for side in ("unlearn", "retention") for name in ("success", "success_whole", "rouge_l")},
    **dict.fromkeys(("unlearn_perplexity", "retention_perplexity"), "answer_perplexity"),
    **dict.fromkeys(("forgotten_rate", "known_rate"), "success_whole"),
    **dict.fromkeys(("target_bleu", "unrelated_bleu"), "bleu"),
}
PREFIXED = "_prefixed"  # behind a set's name: its questions behind words, which is the attack `system` today


def column(key: str) -> Column:
    """`evaluation/set/measure` as a paper or an earlier version names it -> where the number stands today."""
    return _today(tuple(key.split("/")))


def today(numbers: Mapping[Column, Any]) -> dict[Column, Any]:
    """Numbers of an earlier version by today's columns."""
    return {_today(path): number for path, number in numbers.items()}


def _today(path: tuple[str, ...]) -> Column:
    if len(path) < 2:
        return Column(path)
    *places, name, measure = path
    attack = ("system",) if name.endswith(PREFIXED) else ()
    name, measure = name.removesuffix(PREFIXED), RENAMED.get(measure, measure)
    known, role = MEASURES.get(measure) if len(path) > 2 else None, BY_NAME.get(name) or OF_BENCHMARKS.get(name)
    display = known.display(role) if known else accuracy(role) if measure == "acc" and role else None
    return Column((*attack, *places, name, measure), display)
