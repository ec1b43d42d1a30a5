"""A copy of a model that may be changed, beside the model that it was made of."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NoReturn

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from unlearnkit.memory import release
from unlearnkit.models.adapter import AdapterLineage
from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.lineage import Lineage
from unlearnkit.models.switching import adapter_off, merged, of_adapter, same_flags
from unlearnkit.models.whole import WholeLineage

OVER = "over"  # PEFT's name of the adapter that comes on top


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

    def origin(self) -> NoReturn:
        """Nothing is kept by what a copy is: no file says what was done to it.

        Raises:
            TypeError: always.
        """
        raise TypeError("a copy that may be changed has no origin: measure or score it without keeping what it says")


class WholeCopy(_Beside, WholeLineage):
    """Trained whole, or not at all."""

    def __init__(self, of: Lineage, network: Any):
        WholeLineage.__init__(self, network, of.source, of.reload)
        self.of = of


class AdapterOver(_Beside, AdapterLineage):
    """Trained through a fresh adapter on the very network of the model, over all that it is.

    Args:
        active: the adapters that the network had on before.
    """

    def __init__(self, of: Lineage, network: PeftModel, lora: dict[str, Any], active: list[str]):
        AdapterLineage.__init__(self, network, of.source, of.reload, lora, own_base=False)
        self.of, self.active = of, active

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        with self._without(), self.of.start() as network:
            yield network

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Any]:
        with self._without(), self.of.loaded() as network:
            yield network

    @contextlib.contextmanager
    def _without(self) -> Iterator[None]:
        if not self.active:
            with adapter_off(self.network):
                yield
            return
        with same_flags(self.network):
            self.network.base_model.set_adapter(self.active, inference_mode=True)
            try:
                yield
            finally:
                self.network.base_model.set_adapter([*self.active, OVER], inference_mode=True)


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


@contextlib.contextmanager
def readable(model: LanguageModel, state: str) -> Iterator[Any]:
    """The same, to be read alone for the length of a `with`: the network itself where it is bare."""
    with model.state(state) as network:
        yield network_of(model, state) if isinstance(network, PeftModel) else network


@contextlib.contextmanager
def copied(model: LanguageModel, make: Callable[[], Any]) -> Iterator[LanguageModel]:
    """The same model, in a network of its own, which is trained whole and given back at the end of a `with`.

    Args:
        make: the network.
    """
    release()  # what a training before has left
    own = replace(model, weights=WholeCopy(model.weights, make()))
    release()
    try:
        yield own
    finally:
        own.weights.network = None
        release()


def changed(model: LanguageModel, lora: dict[str, Any] | None = None) -> AbstractContextManager[LanguageModel]:
    """The same model, to be changed for the length of a `with`.

    Args:
        lora: arguments of `peft.LoraConfig` for training it through one adapter more, which costs no copy of the
            weights; until it is gone, the model itself has it on. None: a copy, trained whole.
    """
    return copied(model, lambda: network_of(model)) if lora is None else _over(model, lora)


@contextlib.contextmanager
def _over(model: LanguageModel, lora: dict[str, Any]) -> Iterator[LanguageModel]:
    release()  # what a training before has left
    network, config = model.model, LoraConfig(task_type="CAUSAL_LM", **lora)
    wrapped: Any = network if isinstance(network, PeftModel) else None
    active = list(wrapped.base_model.active_adapters) if wrapped else []
    with same_flags(network), _undropped(network):
        if active:
            wrapped.add_adapter(OVER, config)
        else:
            wrapped = get_peft_model(network, config, adapter_name=OVER)
        try:
            wrapped.base_model.set_adapter([*active, OVER])
            for name, parameter in wrapped.named_parameters():
                parameter.requires_grad_(of_adapter(name, OVER))
            yield replace(model, weights=AdapterOver(model.weights, wrapped, lora, active))
        finally:
            if active:
                wrapped.base_model.set_adapter(active)
                wrapped.delete_adapter(OVER)
            else:
                wrapped.unload()
    del wrapped
    release()


@contextlib.contextmanager
def _undropped(network: Any) -> Iterator[None]:
    """What was learnt is whole while something more is: the dropout of adapters that are there is off."""
    modules = [part for module in network.modules() for part in getattr(module, "lora_dropout", {}).values()]
    rates = [(part, part.p) for part in modules if isinstance(part, nn.Dropout)]
    for part, _ in rates:
        part.p = 0.0
    try:
        yield
    finally:
        for part, share in rates:
            part.p = share
