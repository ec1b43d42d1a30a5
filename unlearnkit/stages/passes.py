"""Packed forwards of a model that is trained, and of the earlier states that its terms compare with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from unlearnkit.errors import UserError
from unlearnkit.losses.base import Loss, Padded, States
from unlearnkit.losses.projected import Projected
from unlearnkit.models import LanguageModel
from unlearnkit.models.heads import STANDING, ends_with_head
from unlearnkit.models.lineage import Reference, answering
from unlearnkit.models.packing import Packed
from unlearnkit.models.padding import pad_of
from unlearnkit.models.reading import Outputs, Pass, reached, read


def outputs_of(terms: Iterable[Loss]) -> Outputs:
    """What a pass must give so that all of these terms have what they read."""
    reads = [(term.stream, term.reads) for term in terms]
    layers = frozenset(one.layer for _, one in reads if isinstance(one, States))
    padded = frozenset((stream, one.length) for stream, one in reads if isinstance(one, Padded))
    return Outputs(any(not isinstance(one, States | Padded) for _, one in reads), layers, padded)


class Passes:
    """What a step of a training asks of its networks.

    An earlier state costs no second network where another adapter state of the trained one is it.

    Args:
        model: made trainable already; it is at the start of the training.
        terms: which earlier states are wanted.
        sharded: under DeepSpeed, whose weights are not at hand between passes (ZeRO-3): logits stand, however many.
    """

    def __init__(self, model: LanguageModel, terms: dict[str, Loss], sharded: bool = False):
        states = dict.fromkeys(term.against for term in terms.values() if term.needs_reference)
        self.references: dict[str, Reference] = {state: model.weights.reference(state, model.dtype) for state in states}
        self.computing = model.computing
        self.pad = pad_of(model.tokenizer)
        with answering(model.model), self.computing():
            self.standing = STANDING if not sharded and ends_with_head(model.model) else None

    def read(self, network: Any, row: Packed, outputs: Outputs) -> Pass:
        """What is wanted of the network, in the model's precision."""
        with self.computing():
            made = read(network, row, outputs, self.pad, self.standing)
        if isinstance(made.logits, Projected):
            made.logits.head = self._within(made.logits.head, self.computing)
        return made

    @torch.no_grad()
    def earlier(self, network: Any, state: str, row: Packed, outputs: Outputs) -> Pass:
        """The same of an earlier state, dropout off.

        Args:
            network: the trained one, whose adapters are switched where these are what the state differs in.
        """
        reference = self.references[state]
        if reference.frozen is not None:
            return self.read(reference.frozen, row, outputs)
        assert reference.switch is not None
        switch = reference.switch

        @contextlib.contextmanager
        def switched() -> Iterator[None]:
            with torch.no_grad(), answering(network), switch(network):
                yield

        with switched():
            made = self.read(network, row, outputs)
        if isinstance(made.logits, Projected):
            made.logits.head = self._within(made.logits.head, switched)
        return made

    @staticmethod
    def _within(
        head: Callable[[torch.Tensor], torch.Tensor], state: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """A head that is asked later, in the state that the pass was made in."""

        def head_in_state(states: torch.Tensor) -> torch.Tensor:
            with state():
                return head(states)

        return head_in_state


@contextlib.contextmanager
def within_reach(model: LanguageModel, terms: dict[str, Loss]) -> Iterator[None]:
    """What no pass of these terms reaches is not trained, for the length of a `with`: it would have no gradient.

    Raises:
        UserError: nothing of what is trained is reached.
    """
    outputs = outputs_of(terms.values())
    trained = [weight for weight in model.model.parameters() if weight.requires_grad]
    with model.computing():
        reach = {id(weight) for weight in reached(model.model, outputs)}
    beyond = [weight for weight in trained if id(weight) not in reach]
    if len(beyond) == len(trained):
        raise UserError(
            f"The terms read layers {_layers(outputs)} alone, and what is trained lies behind them",
            "Read a later layer with stages.STAGE.terms.NAME.layer=, or train an earlier one",
        )
    for weight in beyond:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in beyond:
            weight.requires_grad_(True)


def _layers(outputs: Outputs) -> str:
    return ", ".join(f"{layer:g}" for layer in sorted(outputs.layers))
