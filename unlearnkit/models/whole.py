"""Weights that are trained whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.models.lineage import Lineage, Reference, Snapshot, narrow_copy, narrowed, swapped


class WholeLineage(Lineage):
    """All weights are trained in place; from then on `start` and `loaded` are on the disk alone."""

    def __init__(self, network: Any, source: str, reload: Any):
        super().__init__(network, source, reload)
        self.taught: str | None = None
        self.trained = False
        self.fresh = True  # no training has ended yet

    def origin(self) -> dict[str, Any]:
        return {"source": self.source, "taught": self.taught}

    def make_trainable(self) -> None:
        if self.trained:
            self.fresh = False
            return
        self.network.requires_grad_(True)
        self.trained = True

    def confine(self, chosen: set[str]) -> None:
        self.make_trainable()
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in chosen)

    def teach(self, folder: str, merge: bool = False) -> None:
        self.network = None  # what is loaded takes its place in memory
        self.network, self.taught, self.trained = self.reload(folder), folder, False
        self.fresh = True
        self.originals.clear()

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        if self.trained or self.began:
            yield self.reload(self.began or self.taught or self.source)
        else:
            with swapped(self.originals):
                yield self.network

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Any]:
        if self.taught:
            yield self.reload(self.source)
        else:
            with self.start() as network:
                yield network

    def reference(self, state: str, narrow: torch.dtype) -> Reference:
        if self.fresh and not self.originals and (state == "start" or not self.taught):
            return Reference(frozen=narrow_copy(self.network, narrow))
        with self.start() if state == "start" else self.loaded() as network:
            own = network is not self.network
            return Reference(frozen=narrowed(network, narrow) if own else narrow_copy(network, narrow))

    def edit(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        if self.trained:
            with torch.no_grad():
                parameter.copy_(value)
        else:
            super().edit(parameter, value)

    def keep_start(self, folder: Path) -> None:
        if ranks.is_first():
            self.network.save_pretrained(folder)
        ranks.barrier()

    def negate(self, scale: float, folder: Path) -> None:
        for parameter, start in stream_weights(self.network, folder, "Negating"):
            parameter.mul_(-scale).add_(start, alpha=1.0 + scale)

    @contextlib.contextmanager
    def negated(self, scale: float, folder: Path) -> Iterator[Lineage]:
        saved_folder = Path(ranks.from_first(lambda: tempfile.mkdtemp(".partial", dir=folder.parent)))
        try:
            if ranks.is_first():
                self.network.save_pretrained(saved_folder)
            ranks.barrier()
            self.negate(scale, folder)
            yield self
        finally:
            for parameter, saved in stream_weights(self.network, saved_folder, "Restoring"):
                parameter.copy_(saved)
            ranks.barrier()
            if ranks.is_first():
                shutil.rmtree(saved_folder)

    def keep(self) -> Snapshot:
        parameters = dict(self.network.named_parameters())
        what = {**self._described(), "trained": self.trained}
        return what, {name: p for name, p in parameters.items() if self.trained or p in self.originals}

    def restore(self, what: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        self.trained, self.fresh = what["trained"], not what["trained"]
        self._take_back(what, tensors)

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder)


def stream_weights(model: torch.nn.Module, folder: Path, doing: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(parameter's data, the same tensor on disk), one at a time; tied weights come once.

    Raises:
        ValueError: a parameter without a tensor on disk, which would be left as it is in silence.
    """
    parameters = dict(model.named_parameters())
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as tensors:
            for name in tqdm(list(tensors.keys()), desc=f"{doing} {shard.name}", leave=False):
                parameter = parameters.pop(name, None)
                if parameter is not None:
                    saved = tensors.get_tensor(name)
                    yield parameter.data, saved.to(parameter.device, parameter.dtype)
    if parameters:
        raise ValueError(f"no weights in {folder} for {', '.join(list(parameters)[:3])}")
