"""Log-likelihoods of continuations, packed: a context once with all its continuations, logits at these alone.

What contexts begin with alike, such as a task's examples, stands once a row as well.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from tqdm import tqdm

from unlearnkit import ranks
from unlearnkit.models.packing import Tokens, filled, pack


@torch.inference_mode()
def log_likelihoods(
    model: Any, pairs: list[tuple[list[int], list[int]]], max_length: int, tokens_a_row: int, disable_bar: bool = False
) -> list[tuple[float, bool]]:
    """(sum of the continuation's log-probabilities, does argmax hit all of it) of each (context, continuation) ids.

    What `HFLM._loglikelihood_tokens` says, to rounding, without its padding, its repeated contexts (a multiple-choice
    question has one context for all its choices) and its logits at every position. Ranks share the rows.

    Args:
        max_length: tokens of input; what is longer loses its beginning, as in the harness.
        tokens_a_row: how many tokens may stand in a packed row.
    """
    groups: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (before, after) in enumerate(pairs):
        tokens = tuple([*before, *after][-(max_length + 1) :])
        groups[tokens[: -len(after)]][tuple(after)].append(number)
    # Contexts that begin alike lie side by side.
    laid = filled(
        ([(context, continuation) for continuation in groups[context]] for context in sorted(groups)), tokens_a_row
    )
    # One that is too large fails at once.
    rows = [row for row, _ in sorted(laid, key=lambda row: row[1], reverse=True)]

    def score_rows(mine: list[list[Tokens]]) -> list[list[tuple[float, bool]]]:
        scored = []
        with tqdm(total=sum(map(len, mine)), desc="General tasks", leave=False, disable=disable_bar) as bar:
            for row in mine:
                scored.append(_score(model, row))
                bar.update(len(row))
        return scored

    likelihoods: list[tuple[float, bool]] = [(0.0, False)] * len(pairs)
    for row, answers in zip(rows, ranks.shared(rows, score_rows), strict=True):
        for (context, continuation), answer in zip(row, answers, strict=True):
            for number in groups[context][continuation]:
                likelihoods[number] = answer
    return likelihoods


def _score(model: Any, row: list[Tokens]) -> list[tuple[float, bool]]:
    packed = pack({"choices": row}).to(model.device)
    log_probs = model(**packed.inputs()).logits[0].float().log_softmax(-1)
    chosen = log_probs.gather(-1, packed.labels[:, None])[:, 0]
    hits = log_probs.argmax(-1) == packed.labels
    lengths = packed.lengths["choices"]
    parts = zip(chosen.split(lengths), hits.split(lengths), strict=True)
    return [(float(part.sum()), bool(hit.all())) for part, hit in parts]
