"""A copy of a model that may be changed, beside the model that it was made of."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from unlearnkit.models.adapter import AdapterLineage
from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.lineage import Lineage
from unlearnkit.models.switching import merged
from unlearnkit.models.whole import WholeLineage


class _Beside:
    """What the copied model was earlier is asked of that model, which nothing has changed."""

    of: Lineage

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        with self.of.start() as network:
            yield network

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Any]:
        with self.of.loaded() as network:
            yield network

    def origin(self) -> dict[str, Any]:
        return {**self.of.origin(), "changed": True}  # how, `fingerprint` reads off the weights


class WholeCopy(_Beside, WholeLineage):
    """Trained whole, or not at all."""

    def __init__(self, of: Lineage, network: Any):
        WholeLineage.__init__(self, network, of.source, of.reload)
        self.of = of


class AdapterCopy(_Beside, AdapterLineage):
    """Trained through a fresh adapter over all that the copied model is."""

    def __init__(self, of: Lineage, network: Any, lora: dict[str, Any]):
        AdapterLineage.__init__(self, network, of.source, of.reload, lora, own_base=False)
        self.of = of


def network_of(model: LanguageModel, state: str = "current") -> Any:
    """A bare network with all the weights that the model has in a state, its adapter's in them.

    Raises:
        UserError: an adapter beside quantised weights, which nothing can be merged into.
    """
    with model.state(state) as network:
        own = copy.deepcopy(network) if network is model.model else network
    has_adapter = state == "current" or getattr(model.weights, "goes_on", False)
    if model.weights.lora is not None and own.dtype.itemsize < 4:
        own = own.float()  # a small change would be rounded away as it is merged
    return merged(own, keep=has_adapter).requires_grad_(False).eval()


def copied(model: LanguageModel, lora: dict[str, Any] | None = None, network: Any = None) -> LanguageModel:
    """The same model, in a copy of its own.

    Args:
        lora: arguments of `peft.LoraConfig` for training the copy; None: it is trained whole.
        network: in place of the copy's.
    """
    own = network_of(model) if network is None else network
    of = model.weights
    return replace(model, weights=WholeCopy(of, own) if lora is None else AdapterCopy(of, own, lora))


@contextlib.contextmanager
def changed(model: LanguageModel, lora: dict[str, Any] | None = None) -> Iterator[LanguageModel]:
    """`copied` for the length of a `with`, after which its memory is free."""
    own = copied(model, lora)
    try:
        yield own
    finally:
        own.weights.network = None
