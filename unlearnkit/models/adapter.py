"""Weights that are trained through a LoRA adapter, whatever else PEFT was told to train beside it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from unlearnkit.errors import UserError, nearest
from unlearnkit.models.anatomy import bare
from unlearnkit.models.lineage import Lineage, Reference, Snapshot, narrow_copy, swapped
from unlearnkit.models.quantised import check_exact, note_rounding
from unlearnkit.models.split import SUBTRACTED, add_subtracted, check_plain, fill, fresh_layers, join
from unlearnkit.models.switching import (
    DEFAULT,
    START,
    adapter_at,
    adapter_off,
    biases_of,
    in_bare,
    merged,
    of_adapter,
    outputs,
    same_flags,
)

INITIAL = (True, "gaussian")  # init_lora_weights that leave the model as it is


class AdapterLineage(Lineage):
    """A base whose weights stay, and an adapter.

    The adapter is fresh (start is the base) or goes on with what was taught (start is the base with that adapter).
    Weights that PEFT trains in place, such as biases, and weights that a stage edits are remembered in `originals`.

    Args:
        lora: arguments of `peft.LoraConfig`.

    Raises:
        UserError: a LoRA whose first weights change the model.
    """

    def __init__(self, network: Any, source: str, reload: Any, lora: dict[str, Any], own_base: bool = True):
        super().__init__(network, source, reload)
        self.lora: dict[str, Any] = lora
        self.taught: str | None = None
        self.targets: list[str] | None = None  # the modules that the adapter stands on, where a stage has chosen them
        self.own_base = own_base  # an adapter over the base's files is the whole model
        self.moved = False  # what was taught last came after `start`
        self.in_memory = True  # `loaded` can be had from the weights in memory
        if (first := lora.get("init_lora_weights", True)) not in INITIAL:
            raise UserError(
                f"model.lora.init_lora_weights={first} changes the model before anything is learnt",
                "Leave it out, or set it to true or gaussian",
            )

    @property
    def bare(self) -> Any:
        return bare(self.network)

    @property
    def has_adapter(self) -> bool:
        """The adapter is on the network; a merged one is not."""
        return isinstance(self.network, PeftModel)

    def origin(self) -> dict[str, Any]:
        return {"source": self.source, "taught": self.taught, "merged": not self.own_base}

    def make_trainable(self) -> None:
        if self.has_adapter:
            return
        self._check_names()
        lora = {**self.lora, "target_modules": self.targets} if self.targets else self.lora
        self.network = get_peft_model(self.network, LoraConfig(task_type="CAUSAL_LM", **lora))
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and not of_adapter(name):
                self._remember(parameter)

    def confine(self, chosen: set[str]) -> None:
        if not self.has_adapter:
            self.targets = sorted(self._linear(chosen))
            if not self.targets:
                raise UserError(
                    f"No linear layer is among what is to be trained ({', '.join(sorted(chosen)[:3])}), and LoRA"
                    " stands on these alone",
                    "Choose linear layers, or train the weights themselves with model.lora=null",
                )
            self.make_trainable()
        trained = {p for name, p in self.network.named_parameters() if of_adapter(name, DEFAULT)} | {*self.originals}
        parameters = {name: parameter for name, parameter in self.network.named_parameters() if parameter in trained}
        if not any(in_bare(name) in chosen for name in parameters):
            some = ", ".join(sorted(chosen)[:3])
            raise UserError(
                f"The adapter that is there stands on nothing of what is to be trained ({some})",
                "Choose modules that it stands on, or begin with a fresh one (target.merge=true where it was taught)",
            )
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in parameters and in_bare(name) in chosen)

    def _linear(self, chosen: set[str]) -> set[str]:
        """The linear layers among weights, but for the head."""
        head = self.network.get_output_embeddings()
        return {
            name
            for name, module in self.network.named_modules()
            if isinstance(module, nn.Linear | Conv1D) and module is not head and f"{name}.weight" in chosen
        }

    def check_split(self) -> None:
        """`split` can be done.

        Raises:
            UserError: LoRA is more than two matrices beside linear layers, or the base is quantised.
        """
        check_plain(self.lora)
        check_exact(self.network, "split")

    def fresh_layers(self) -> dict[str, Any]:
        """Adapted modules by their paths, of an adapter that has learnt nothing yet."""
        return fresh_layers(self.network, DEFAULT)

    def split(self, parts: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Move a product of low rank out of each base weight into the adapter, which leaves the model as it is.

        Args:
            parts: adapted module -> (A, B).
        """
        self._add_subtracted()
        fill(self.network, DEFAULT, parts)

    def _add_subtracted(self) -> None:
        with same_flags(self.network):
            add_subtracted(self.network, DEFAULT)

    @property
    def is_split(self) -> bool:
        """The adapter began with a part of the base, which another one takes out of it."""
        return self.has_adapter and SUBTRACTED in self.network.peft_config

    def _check_names(self) -> None:
        """PEFT says nothing of a module to save that there is not.

        Raises:
            UserError: such a name.
        """
        known = {part for name, _ in self.network.named_modules() for part in (name, name.rpartition(".")[2]) if part}
        for name in self.lora.get("modules_to_save") or ():
            if name not in known:
                valid = sorted({module.rpartition(".")[2] for module in known} - {""})
                raise UserError(
                    f"model.lora.modules_to_save names '{name}', which the model does not have.{nearest(name, valid)}",
                    f"Its modules: {', '.join(part for part in valid if not part.isdigit())}",
                )

    def teach(self, folder: str, merge: bool = False) -> None:
        self._drop()
        taught = PeftModel.from_pretrained(self.network, folder, is_trainable=not merge)
        self.taught = folder
        self.in_memory = not merge and biases_of(taught) == "none"
        if merge:
            self.network, self.own_base = merged(taught, keep=True).eval(), False
            return
        self.network = taught.eval()
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                self._remember(parameter)

    def move_on(self, folder: str) -> None:
        """Become an adapter that was made from what this is: `start` stays."""
        began = self.taught
        self.teach(folder)
        self.began, self.moved = began, True

    def _drop(self) -> None:
        """Back to the bare base as it came."""
        self.network = merged(self.network, keep=False)
        for parameter, value in self.originals.items():
            parameter.data = value.to(parameter.device, parameter.dtype)
        self.originals.clear()
        self.network.requires_grad_(False)
        self.taught = None

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        if self.began:
            yield self.reload(self.began)
            return
        with nullcontext() if self.goes_on else adapter_off(self.network), swapped(self.originals):
            yield self.network

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Any]:
        if not self.in_memory:
            yield self.reload(self.source)
            return
        with adapter_off(self.network), swapped(self._base_originals()):
            yield self.network

    @property
    def goes_on(self) -> bool:
        """The adapter is the taught one, trained further: `start` has it too."""
        return self.taught is not None and self.own_base and not self.moved

    def _base_originals(self) -> dict[nn.Parameter, torch.Tensor]:
        own = {parameter for name, parameter in self.network.named_parameters() if of_adapter(name)}
        return {parameter: value for parameter, value in self.originals.items() if parameter not in own}

    def reference(self, state: str, narrow: torch.dtype) -> Reference:
        untouched = not self._base_originals() and not (state == "start" and self.began)
        if untouched and (self.in_memory if state == "loaded" else not self.goes_on):
            return Reference(switch=adapter_off)
        if (
            untouched and state == "start" and biases_of(self.network) == "none"
        ):  # PEFT has no second adapter with biases
            self._add_start()
            return Reference(switch=partial(adapter_at, name=START))
        with self.start() if state == "start" else self.loaded() as network:
            return Reference(frozen=narrow_copy(network, narrow))

    def _add_start(self) -> None:
        """A frozen second copy of the adapter that the model was taught with."""
        if START in self.network.peft_config:
            return
        with same_flags(self.network):
            self.network.load_adapter(self.taught, START, is_trainable=False)

    def negate(self, scale: float, folder: Path) -> None:
        if self.is_product:
            for weight in outputs(self.network):
                weight.data.mul_(-scale)
        else:
            self._negate_merged(scale)

    @contextlib.contextmanager
    def negated(self, scale: float, folder: Path) -> Iterator[Lineage]:
        if not self.is_product:
            other = copy.copy(self)
            other.network, other.originals = copy.deepcopy((self.network, self.originals))
            other.negate(scale, folder)
            yield other
            return
        with self.times(-scale):
            yield self

    @contextlib.contextmanager
    def times(self, factor: float) -> Iterator[None]:
        """So many times what was learnt, for the length of a `with`; it `is_product`."""
        saved = [weight.data.clone() for weight in outputs(self.network)]
        for weight in outputs(self.network):
            weight.data.mul_(factor)
        try:
            yield
        finally:
            for weight, before in zip(outputs(self.network), saved, strict=True):
                weight.data.copy_(before)

    @property
    def is_product(self) -> bool:
        """What was learnt is a product of A and B alone, so that B's sign is its sign."""
        if not self.has_adapter or self.goes_on or self.originals:
            return False
        own = [name for name, _ in self.network.named_parameters() if of_adapter(name, DEFAULT)]
        return all(any(part in name for part in (".lora_A.", ".lora_B.", ".lora_embedding_")) for name in own)

    @torch.no_grad()
    def _negate_merged(self, scale: float) -> None:
        """In the weights that the base and the adapter make together, kept in fp32."""
        self.network.float()
        with self.start() as network:
            before = copy.deepcopy(network)
        before = merged(before, keep=self.goes_on)
        self.network = merged(self.network, keep=True)
        self.originals = {}
        first = dict(before.named_parameters(remove_duplicate=False))
        for name, parameter in self.network.named_parameters():
            if not torch.equal(parameter, first[name]):
                self._remember(parameter)
                self.originals[parameter].copy_(first[name])
                parameter.copy_(first[name] - scale * (parameter - first[name]))
        self.own_base = self.in_memory = False
        self.network.requires_grad_(False)

    def keep(self) -> Snapshot:
        parameters = dict(self.network.named_parameters())
        what = {**self._described(), "adapter": self.has_adapter, "merged": not self.own_base}
        what |= {"targets": self.targets, "split": self.is_split}
        return what, {
            name: parameter
            for name, parameter in parameters.items()
            if of_adapter(name, DEFAULT, SUBTRACTED) or parameter in self.originals
        }

    def restore(self, what: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        if what["merged"] and self.own_base:
            self.network.float()
            self.network, self.originals = merged(self.network, keep=True), {}
            self.own_base = self.in_memory = False
        self.targets = what.get("targets")
        if what["adapter"]:
            self.make_trainable()
        if what.get("split"):
            self._add_subtracted()
        self._take_back(what, tensors)

    @property
    def saves_adapter(self) -> bool:  # type: ignore[override]
        return self.has_adapter and self.own_base and all(self._trained_by_peft(p) for p in self._base_originals())

    def _trained_by_peft(self, parameter: nn.Parameter) -> bool:
        return biases_of(self.network) != "none" and any(
            p is parameter for n, p in self.network.named_parameters() if "bias" in n
        )

    def save(self, folder: Path) -> None:
        if self.saves_adapter:
            self.network.save_pretrained(folder, selected_adapters=[DEFAULT, *[SUBTRACTED] * self.is_split])
            if self.is_split:
                join(folder)
            note_rounding(self.network, folder)
        else:
            self.merged_copy().save_pretrained(folder)

    def merged_copy(self) -> Any:
        """A second, bare network with the adapter in its weights; without an adapter the network itself."""
        if not self.has_adapter:
            return self.network
        return merged(copy.deepcopy(self.network).requires_grad_(False).eval(), keep=True)
