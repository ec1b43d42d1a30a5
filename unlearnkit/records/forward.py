"""Teacher-forced passes: what a model makes of given answers, packed, logits only at the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from unlearnkit import ranks
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Tokens, filled, pack
from unlearnkit.records.record import Record

AT_ONCE = 64  # positions whose whole distributions are looked at together
IMPOSSIBLE = -1e4  # a log-probability below which nothing is told apart, of a token that is masked out


@dataclass
class Scores:
    """Of one answer, a number a token.

    Args:
        said: the token that argmax says.
        deviations: where asked for, how many standard deviations the log-probability lies above the mean of the
            model's own distribution.
    """

    log_probs: list[float]
    hits: list[bool]
    predictions: list[int]
    deviations: list[float]


@torch.inference_mode()
def score(
    model: Any,
    examples: Sequence[Tokens] | Sequence[Sequence[Tokens]],
    tokens_a_row: int = 512,
    desc: str = "Scoring",
    deviations: bool = False,
) -> list[Scores]:
    """Score every answer in one pass over the examples, in the order given; ranks share the rows.

    Args:
        model: a network as `LanguageModel.current` and its like give it.
        examples: prompt ids and answer ids, both non-empty; or groups of them that are to lie in one row.
        tokens_a_row: how many tokens may stand in a packed row.
        deviations: they are computed too, which takes a second look at all logits.
    """

    def score_rows(rows: list[list[Tokens]]) -> list[list[Scores]]:
        return [_score_row(model, row, deviations) for row in tqdm(rows, desc=desc, leave=False)]

    rows = [row for row, _ in filled(map(_group, examples), tokens_a_row)]
    scored = ranks.shared(rows, score_rows)
    return [scores for row in scored for scores in row]


def _score_row(model: Any, row: list[Tokens], deviations: bool) -> list[Scores]:
    packed = pack({"answers": row}).to(model.device)
    logits = model(**packed.inputs()).logits[0].float()
    chosen = logits.gather(-1, packed.labels[:, None])[:, 0] - logits.logsumexp(-1)
    predictions = logits.argmax(-1)
    hits = predictions == packed.labels
    lengths = packed.lengths["answers"]
    above = _deviations(logits, chosen) if deviations else chosen
    parts = zip(
        chosen.split(lengths), hits.split(lengths), predictions.split(lengths), above.split(lengths), strict=True
    )
    return [
        Scores(log_probs.tolist(), hit.tolist(), token.tolist(), z.tolist() if deviations else [])
        for log_probs, hit, token, z in parts
    ]


def _deviations(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(K,) of (K, V) logits and the (K,) log-probabilities of the tokens that are there; a few positions at a time."""
    pieces = []
    for rows, log_probs in zip(logits.split(AT_ONCE), chosen.split(AT_ONCE), strict=True):
        every = rows.log_softmax(-1).clamp(min=IMPOSSIBLE)
        shares = every.exp()
        mean = (shares * every).sum(-1)
        variance = (shares * (every - mean[:, None]).square()).sum(-1)
        pieces.append((log_probs - mean) / variance.clamp(min=1e-6).sqrt())
    return torch.cat(pieces) if pieces else chosen


def force_answers(
    model: LanguageModel,
    records: list[Record],
    alternatives: bool = False,
    deviations: bool = False,
    texts: bool = False,
) -> None:
    """Score the data's own answers: one pass, from which all teacher-forced measures are computed.

    Args:
        alternatives: the alternatives to an answer are scored beside it, behind the one prompt.
        deviations: see `score`.
        texts: what argmax says in the answer's places is written down too.
    """
    groups: list[list[Tokens]] = []
    for record in records:
        others = (record.alternatives or {}).values() if alternatives else ()
        answers = [record.answer, *(text for part in others for text in part)]
        encoded = [model.template.encode(model.tokenizer, record.prompt, text) for text in answers]
        groups.append([(tuple(prompt), tuple(answer)) for prompt, answer in encoded])
    with model.current() as network:
        scores = iter(score(network, groups, desc="Forcing answers", deviations=deviations))
    for record in records:
        own = next(scores)
        record.answer_log_probs, record.answer_hits, record.answer_deviations = own.log_probs, own.hits, own.deviations
        if texts:
            record.forced = str(model.tokenizer.decode(own.predictions, skip_special_tokens=True))
        if alternatives and record.alternatives:
            record.alternative_log_probs = {
                kind: [next(scores).log_probs for _ in part] for kind, part in record.alternatives.items()
            }


def _group(part: Any) -> Sequence[Tokens]:
    """A single example is a group of one."""
    return [part] if part and isinstance(part[0][0], int) else part


def free_text(tokenizer: PreTrainedTokenizerBase, text: str, ended: bool, max_length: int) -> Tokens:
    """A text on its own, after the start token alone; a text that `ended` is followed by the end token.

    So even an empty response has a probability: that of ending at once.
    """
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][: max_length - 2]
    return (start,), tuple(ids) + ((tokenizer.eos_token_id,) if ended or not ids else ())
