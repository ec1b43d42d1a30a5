"""What a model's weights are now, what the run's stages found, and what came from the disk.

A run's model passes through three states: `loaded` as it came, `start` as the stages found it (taught the data,
where that is done), and `current`. A lineage gives each of them as a network that can be called, saves what the
stages changed, and takes it back. `AdapterLineage` and `WholeLineage` say how.
"""

from __future__ import annotations

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

Snapshot = tuple[dict[str, Any], dict[str, torch.Tensor]]  # what the weights are, parameter name -> tensor


@dataclass
class Reference:
    """An earlier state as a training reaches it at every step.

    Args:
        switch: puts the network that is trained into that state for the length of a `with`.
        frozen: a second network, where no switch reaches the state.
    """

    switch: Callable[[Any], contextlib.AbstractContextManager[None]] | None = None
    frozen: Any = None


class Lineage(ABC):
    """The weights of one model.

    Args:
        network: a causal language model, as it came.
        source: the folder or hub id that it came from.
        reload: folder or hub id -> a network in the same types.

    Attributes:
        originals: parameter -> its value at `start`, on the CPU, where a stage has changed it in place.
        began: what `start` is loaded from, where what is here was made from it elsewhere; None: it is had from these.
    """

    saves_adapter = False  # `save` writes an adapter, not a whole model
    lora: dict[str, Any] | None = None  # arguments of `peft.LoraConfig`; None: trained whole

    def __init__(self, network: Any, source: str, reload: Callable[[str], Any]):
        self.network, self.source, self.reload = network, source, reload
        self.originals: dict[nn.Parameter, torch.Tensor] = {}
        self.began: str | None = None
        self.use_cache: bool | None = getattr(network.config, "use_cache", None)  # a trainer switches it off

    @property
    def bare(self) -> Any:
        """The transformers model, without an adapter's wrapping."""
        return self.network

    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """What `start` was made from: folders and how they were combined."""

    @abstractmethod
    def make_trainable(self) -> None:
        """Begin a training, which changes nothing yet; what is trainable already stays as it is."""

    @abstractmethod
    def confine(self, chosen: set[str]) -> None:
        """Begin a training of these weights alone, by their names in the bare network.

        Raises:
            UserError: the lineage cannot train any of them.
        """

    @abstractmethod
    def teach(self, folder: str, merge: bool = False) -> None:
        """Let `start` be what is saved in `folder`, whatever the weights were before."""

    @abstractmethod
    def start(self) -> contextlib.AbstractContextManager[Any]:
        """The network as the run's stages found it, for the length of a `with`."""

    @abstractmethod
    def loaded(self) -> contextlib.AbstractContextManager[Any]:
        """The network as it came, for the length of a `with`."""

    @abstractmethod
    def reference(self, state: str, narrow: torch.dtype) -> Reference:
        """An earlier state for the steps of a training that `make_trainable` has begun.

        Args:
            narrow: the type that linear layers compute in, which a second network is kept in.
        """

    @abstractmethod
    def negate(self, scale: float, folder: Path) -> None:
        """theta <- theta_start - scale * (theta - theta_start); `folder` is where `keep_start` wrote."""

    @abstractmethod
    def negated(self, scale: float, folder: Path) -> contextlib.AbstractContextManager[Lineage]:
        """The weights as `negate` would leave them, for the length of a `with`."""

    def keep_start(self, folder: Path) -> None:  # noqa: B027
        """Write what `negate` needs of `start` to the disk; called before anything is changed."""

    @abstractmethod
    def keep(self) -> Snapshot:
        """All that stages have made of the weights since `start`."""

    @abstractmethod
    def restore(self, what: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        """Take back what `keep` gave, on weights that are at `start`."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the current weights as transformers or PEFT load them."""

    @torch.no_grad()
    def edit(self, parameter: nn.Parameter, value: torch.Tensor) -> None:
        """Rewrite one weight in place."""
        self._remember(parameter)
        parameter.copy_(value)

    def _remember(self, parameter: nn.Parameter) -> None:
        if parameter not in self.originals:
            self.originals[parameter] = parameter.detach().to("cpu", copy=True)

    @torch.no_grad()
    def _take_back(self, what: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        parameters = dict(self.network.named_parameters())
        for name in what["originals"]:
            self._remember(parameters[name])
        for name, saved in tensors.items():
            parameters[name].data = saved.to(parameters[name].device, parameters[name].dtype)
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in what["trainable"])

    def _described(self) -> dict[str, Any]:
        parameters = dict(self.network.named_parameters())
        return {
            "originals": [name for name, parameter in parameters.items() if parameter in self.originals],
            "trainable": [name for name, parameter in parameters.items() if parameter.requires_grad],
        }


@contextlib.contextmanager
def swapped(values: dict[nn.Parameter, torch.Tensor]) -> Iterator[None]:
    """Parameters hold these values for the length of a `with`."""
    before = {parameter: parameter.data for parameter in values}
    for parameter, value in values.items():
        parameter.data = value.to(parameter.device, parameter.dtype)
    try:
        yield
    finally:
        for parameter, data in before.items():
            parameter.data = data


@contextlib.contextmanager
def answering(network: Any) -> Iterator[None]:
    """No dropout for the length of a `with`; the mode that was found is restored."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def narrow_copy(network: Any, dtype: torch.dtype) -> Any:
    """A frozen copy that computes the same in `dtype`'s context; its linear layers are in bfloat16 where that is it.

    autocast rounds these weights at every product; rounding them once gives the same numbers. Embeddings and norms
    keep their type, and so does a layer that shares its weight with the embeddings.
    """
    narrow = {id(weight) for weight in linear_weights(network)} if dtype == torch.bfloat16 else set()
    memo: dict[int, Any] = {
        id(weight): nn.Parameter(
            weight.detach().to(dtype if id(weight) in narrow else weight.dtype, copy=True), requires_grad=False
        )
        for weight in network.parameters()
    }
    return copy.deepcopy(network, memo).eval()


def narrowed(network: Any, dtype: torch.dtype) -> Any:
    """The same of a network that nobody else holds, in place."""
    for weight in linear_weights(network) if dtype == torch.bfloat16 else ():
        weight.data = weight.data.to(dtype)
    return network.requires_grad_(False).eval()


def linear_weights(network: Any) -> list[Any]:
    """The weights of linear layers that share them with no embedding."""
    embeddings = {
        id(weight) for module in network.modules() if isinstance(module, nn.Embedding) for weight in module.parameters()
    }
    modules = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return [module.weight for module in modules if id(module.weight) not in embeddings]
