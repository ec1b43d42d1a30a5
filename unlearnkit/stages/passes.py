"""Packed forwards of a model that is trained, and of the earlier states that its terms compare with."""

from __future__ import annotations

from typing import Any

import torch

from unlearnkit.losses.base import Loss
from unlearnkit.models import LanguageModel
from unlearnkit.models.lineage import Reference, answering
from unlearnkit.models.packing import Packed


class Passes:
    """What a step of a training asks of its networks.

    An earlier state costs no second network where another adapter state of the trained one is it.

    Args:
        model: made trainable already; it is at the start of the training.
        terms: which earlier states are wanted.
    """

    def __init__(self, model: LanguageModel, terms: dict[str, Loss]):
        states = dict.fromkeys(term.against for term in terms.values() if term.needs_reference)
        self.references: dict[str, Reference] = {state: model.weights.reference(state, model.dtype) for state in states}
        self.computing = model.computing

    def logits(self, network: Any, row: Packed) -> torch.Tensor:
        """(K, V) of the network, in the model's precision."""
        with self.computing():
            return network(**row.inputs()).logits[0]

    @torch.no_grad()
    def earlier(self, network: Any, state: str, row: Packed) -> torch.Tensor:
        """(K, V) of an earlier state, dropout off.

        Args:
            network: the trained one, whose adapters are switched where these are what the state differs in.
        """
        reference = self.references[state]
        if reference.frozen is not None:
            return self.logits(reference.frozen, row)
        assert reference.switch is not None
        with answering(network), reference.switch(network):
            return self.logits(network, row)
