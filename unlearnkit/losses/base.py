"""What a loss sees, and what it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F

from unlearnkit.losses.projected import Projected, in_pieces
from unlearnkit.settings.bounds import Depth

Against = Literal["start", "loaded"]
AGAINST = get_args(Against)
At = Literal["answers", "all"]
Mean = Literal["answers", "step"]


@dataclass(frozen=True)
class States:
    """Hidden states, as a layer gives them to the next.

    Args:
        layer: its number, or its share of the depth.
        at: "answers": at the positions that predict the answer tokens; "all": at every token of an example that the
            model is given.
    """

    layer: Depth
    at: At = "answers"


@dataclass(frozen=True)
class Padded:
    """Logits of every place of an example in a padded batch: of its prompt, its answer and the padding behind them.

    Args:
        length: of the batch; None: its longest example's.
    """

    length: int | None = None


Reads = Literal["logits", "tokens", "log_probs"] | States | Padded


@dataclass
class Answers:
    """One stream's answer tokens in a packed row, prompts and padding never among them.

    Args:
        logits: (N, V) of the model being trained, at the positions that predict the answer tokens; (N, 0) for a loss
            that reads something else. Of a large vocabulary a loss that reads "tokens" is given `Projected` ones.
        labels: (N,) the answer tokens.
        lengths: tokens of each answer; they sum to N.
        total_tokens, total_answers: of the whole optimiser step, over all ranks and micro-batches, so that
            a loss divides by the same number however the step is split.
        reference_logits: (N, V) of the frozen reference, where the loss needs them; may be `Projected` likewise.
        draw: (the run's seed, the step's number), for a loss that draws at random.
        reference_log_probs: (n,) log-probability of each answer under the reference, where the loss needs it.
        known_log_probs: (N,) log-probability of each answer token, where the loss reads these alone.
        states: (M, d) hidden states, where the loss reads them.
        reference_states: (M, d) the same of the reference.
        state_lengths: how many states each answer has; they sum to M.
        step_answers: as `total_answers`, of all streams of the step together.
        padded: (n, L, V) logits of the padded batch, where the loss reads them.
        reference_padded: the same of the reference.
    """

    logits: torch.Tensor | Projected
    labels: torch.Tensor
    lengths: list[int]
    total_tokens: int
    total_answers: int
    reference_logits: torch.Tensor | Projected | None = None
    draw: tuple[int, int] = (0, 0)
    reference_log_probs: torch.Tensor | None = None
    known_log_probs: torch.Tensor | None = None
    states: torch.Tensor | None = None
    reference_states: torch.Tensor | None = None
    state_lengths: list[int] | None = None
    step_answers: int = 0
    padded: torch.Tensor | None = None
    reference_padded: torch.Tensor | None = None

    def over(self, mean: Mean) -> int:
        """What a mean over the stream's own answers divides by, or one over all answers of the step."""
        return self.step_answers if mean == "step" else self.total_answers

    def token_log_probs(self) -> torch.Tensor:
        """(N,) log-probability of each answer token."""
        return self.of_tokens(log_probs_of) if self.known_log_probs is None else self.known_log_probs

    def of_tokens(self, value: Callable[..., torch.Tensor], labels: torch.Tensor | None = None) -> torch.Tensor:
        """(N,) a value of each answer token.

        Args:
            value: of some tokens: fp32 logits (n, V) and labels (n,), to (n,). Called on all tokens at once, or on some
                at a time where the logits are `Projected`.
            labels: (N,) in place of the answers' own.
        """
        return in_pieces(value, self.logits, self.labels if labels is None else labels)

    def compared(self, value: Callable[..., torch.Tensor]) -> torch.Tensor:
        """(N,) a value of each answer token, of the reference's fp32 logits (n, V) as a third argument too."""
        if self.reference_logits is None:
            raise ValueError("this loss needs the reference's logits")
        return in_pieces(value, self.logits, self.labels, self.reference_logits)

    def log_probs(self) -> torch.Tensor:
        """(n,) log-probability of each answer: the sum over its tokens."""
        return torch.stack([part.sum() for part in self.token_log_probs().split(self.lengths)])

    def sizes(self) -> torch.Tensor:
        """(n,) tokens of each answer."""
        return torch.tensor(self.lengths, device=self.labels.device)

    def reference(self) -> torch.Tensor:
        """(n,) the same under the reference."""
        if self.reference_log_probs is None:
            raise ValueError("this loss needs the reference's log-probabilities")
        return self.reference_log_probs

    def hidden(self) -> torch.Tensor:
        """(M, d) hidden states in fp32."""
        if self.states is None:
            raise ValueError("this loss needs hidden states: it says so with `reads`")
        return self.states.float()

    def mean_of_states(self, values: torch.Tensor) -> torch.Tensor:
        """This micro-batch's share of the mean over the step's answers of each one's mean over its states.

        Args:
            values: (M,), one a state.
        """
        parts = values.split(self.state_lengths or self.lengths)
        return torch.stack([part.mean() for part in parts]).sum() / self.total_answers


def log_probs_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(N, V), (N,) -> (N,) log-probability of each label."""
    return -F.cross_entropy(logits.float(), labels, reduction="none")


class Loss(ABC):
    """A term: one loss on one stream, with a weight (negative: ascend).

    Args:
        stream: the name of the stream whose answers it sees.
        weight: its factor in the sum that is minimised; 0 leaves the term out of the forward.
        against: the state that a term with a reference compares with: "start" (the model as the run's stages found
            it) or "loaded" (as it came, before it was taught the data).
    """

    # Of a pass, which computes no more than is read: logits as they stand, or through `Answers.of_tokens` alone,
    # so that they need not stand all at once; log-probabilities of the labels; hidden states; padded logits.
    reads: Reads = "logits"
    needs_reference = False  # the same of the reference, from a pass a step
    needs_reference_log_probs = False  # one number an answer, computed once before training
    carries = False  # something from step to step, such as a dual variable: see `after_step`

    def __init__(self, stream: str, weight: float = 1.0, against: Against = "start"):
        self.stream, self.weight, self.against = stream, float(weight), against

    @abstractmethod
    def __call__(self, answers: Answers) -> torch.Tensor:
        """This micro-batch's share of the step's loss, a scalar; the shares of a step add up to the loss."""

    def after_step(self, step: int, value: float) -> None:
        """Called where `carries`, after the weights were changed.

        Args:
            step: optimiser steps so far, this one included.
            value: of the term in this step, over all micro-batches and ranks.
        """
        raise NotImplementedError

    def state(self) -> dict[str, float]:
        """What is carried to the next step, by name; it is logged and saved with every checkpoint."""
        return {}

    def restore(self, state: dict[str, float]) -> None:
        """The inverse of `state`."""
        raise NotImplementedError


class OfStates(Loss):
    """A term of hidden states.

    Args:
        layer: whose, by its number or its share of the depth.
        at: "answers": states at the positions that predict the answers; "all": at prompts too.
    """

    def __init__(self, stream: str, layer: Depth, weight: float = 1.0, at: At = "answers", against: Against = "start"):
        super().__init__(stream, weight, against)
        self.reads = States(layer, at)
