"""What a term sees of a step's passes."""

from __future__ import annotations

import torch

from unlearnkit.losses.base import Answers, Loss, Padded, States, log_probs_of
from unlearnkit.losses.projected import Logits, in_pieces, whole
from unlearnkit.models.packing import Packed
from unlearnkit.models.reading import Pass
from unlearnkit.stages.steps import Step

Read = tuple[Packed, Pass]  # a row, and what its pass gave


def answers_of(step: Step, term: Loss, read: Read, reference: Read | None) -> Answers:
    """The term's slice of the packed row.

    Args:
        reference: of the state that the term compares with, where it was asked.
    """
    row, made = read
    compared, earlier = reference or (None, None)
    where, labels = row.streams[term.stream], row.labels
    tokens, answers = step.totals[term.stream]
    own = Answers(
        labels.new_empty((len(labels[where]), 0), dtype=torch.float32),
        labels[where],
        row.lengths[term.stream],
        tokens,
        answers,
        draw=(step.seed, step.number),
        reference_log_probs=step.reference_log_probs.get(term.against, {}).get(term.stream),
        step_answers=sum(count for _, count in step.totals.values()),
    )
    if isinstance(term.reads, States):
        own.states, own.state_lengths = _states(made, row, term.stream, term.reads)
        if compared is not None and earlier is not None:
            own.reference_states, _ = _states(earlier, compared, term.stream, term.reads)
        return own
    if isinstance(term.reads, Padded):
        own.padded = made.padded[term.stream, term.reads.length]
        if earlier is not None:
            own.reference_padded = earlier.padded[term.stream, term.reads.length]
        return own
    logits = made.of_stream(row, term.stream)
    if term.reads == "log_probs":
        own.known_log_probs = in_pieces(log_probs_of, logits, own.labels)
        return own
    stand = whole if term.reads == "logits" else _as_they_are
    own.logits = stand(logits)
    if compared is not None and earlier is not None and earlier.logits is not None:
        own.reference_logits = stand(earlier.of_stream(compared, term.stream))
    return own


def _as_they_are(logits: Logits) -> Logits:
    return logits


def _states(made: Pass, row: Packed, stream: str, reads: States) -> tuple[torch.Tensor, list[int]]:
    """(M, d) of a stream's examples, and how many each has."""
    if reads.at == "answers":
        return made.state(reads.layer)[row.keep[row.streams[stream]]], row.lengths[stream]
    places, sizes = row.every(stream)
    return made.state(reads.layer)[places], sizes
