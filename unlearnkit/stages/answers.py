"""What a term sees of a step's passes."""

from __future__ import annotations

import torch

from unlearnkit.losses.base import Answers, Loss, Padded, States, log_probs_of
from unlearnkit.losses.projected import Logits, in_pieces, whole
from unlearnkit.models.packing import Packed
from unlearnkit.models.reading import Pass
from unlearnkit.stages.steps import Step


def answers_of(step: Step, term: Loss, made: Pass, reference: Pass | None) -> Answers:
    """The term's slice of the packed row.

    Args:
        made: what the pass of the step's row gave.
        reference: the same of the row that the reference sees, where it was asked.
    """
    where, labels = step.packed.streams[term.stream], step.packed.labels
    tokens, answers = step.totals[term.stream]
    own = Answers(
        labels.new_empty((len(labels[where]), 0), dtype=torch.float32),
        labels[where],
        step.packed.lengths[term.stream],
        tokens,
        answers,
        draw=(step.seed, step.number),
        reference_log_probs=step.reference_log_probs.get(term.against, {}).get(term.stream),
        step_answers=sum(count for _, count in step.totals.values()),
    )
    compared = step.reference if term.needs_reference and reference is not None else None
    if isinstance(term.reads, States):
        own.states, own.state_lengths = _states(made, step.packed, term.stream, term.reads)
        if compared is not None and reference is not None:
            own.reference_states, _ = _states(reference, compared, term.stream, term.reads)
        return own
    if isinstance(term.reads, Padded):
        own.padded = made.padded[term.stream, term.reads.length]
        if reference is not None:
            own.reference_padded = reference.padded[term.stream, term.reads.length]
        return own
    assert made.logits is not None
    logits = made.logits[where]
    if term.reads == "log_probs":
        own.known_log_probs = in_pieces(log_probs_of, logits, own.labels)
        return own
    stand = whole if term.reads == "logits" else _as_they_are
    own.logits = stand(logits)
    if compared is not None and reference is not None and reference.logits is not None:
        own.reference_logits = stand(reference.logits[compared.streams[term.stream]])
    return own


def _as_they_are(logits: Logits) -> Logits:
    return logits


def _states(made: Pass, row: Packed, stream: str, reads: States) -> tuple[torch.Tensor, list[int]]:
    """(M, d) of a stream's examples, and how many each has."""
    if reads.at == "answers":
        return made.state(reads.layer)[row.keep[row.streams[stream]]], row.lengths[stream]
    places, sizes = row.every(stream)
    return made.state(reads.layer)[places], sizes
