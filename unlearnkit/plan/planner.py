"""A run's trainings, traced and counted on any number of GPUs under any engine."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import torch

from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError
from unlearnkit.losses.base import Loss, States
from unlearnkit.models.heads import STANDING
from unlearnkit.models.quantised import Quantise
from unlearnkit.models.reading import number_of, reached
from unlearnkit.plan.memory import Demand, Engine, Usage, usage
from unlearnkit.plan.rows import Encode, Micro, largest
from unlearnkit.plan.sizes import Sizes, narrow_bytes, sizes_of, skeleton
from unlearnkit.plan.trace import TRACED, Peak, alike, peaks, trace
from unlearnkit.settings.bounds import AboveZero, Arguments, Bound, Nonnegative, Positive
from unlearnkit.stages.finetune import Finetune
from unlearnkit.stages.passes import outputs_of
from unlearnkit.stages.restrict import Restrict


@dataclass(frozen=True)
class Device:
    """A GPU: bytes it has, FLOP/s it does at best, the share of them that is reached."""

    memory: float
    peak_flops: float
    mfu: float

    def hours(self, flops: float, gpus: int) -> float:
        """Wall-clock hours of so many FLOPs."""
        return flops / (gpus * self.peak_flops * self.mfu) / 3600


@dataclass(frozen=True)
class Planned:
    """One training on so many GPUs.

    Args:
        step_flops: of an optimiser step on average, over all ranks.
        times: how often it is carried out.
    """

    gpus: int
    engine: str
    usage: Usage
    micro: Micro
    steps: int
    step_flops: float
    times: int = 1

    @property
    def flops(self) -> float:
        """Of all its steps, over all ranks, as often as it is carried out."""
        return self.step_flops * self.steps * self.times


@dataclass
class Planner:
    """One training, at any number of GPUs.

    Args:
        config: transformers'.
        lora: arguments of `peft.LoraConfig`, or None.
        taught: the adapter was taught the data before, so the reference is a frozen copy of it.
        looked_at: micro-batches of which the largest is planned.
        restricted: the stages before it that say what is trained.
        times: how often it is carried out, with `train.tune`.
        quantise: `model.quantise`.
    """

    config: Any
    lora: dict[str, Any] | None
    computed_in: torch.dtype
    stage: Finetune
    streams: dict[str, Stream]
    encode: Encode
    seed: int = 0
    taught: bool = False
    runtime: int = 0
    looked_at: int = 128
    restricted: tuple[Restrict, ...] = ()
    times: int = 1
    quantise: Quantise = None

    def __post_init__(self) -> None:
        self._micro: dict[int, Micro] = {}
        self._peaks: dict[tuple[int, bool], tuple[Peak, Peak]] = {}

    @cached_property
    def _chosen(self) -> set[str] | None:
        """The weights that are trained, where a stage says so; the last one has the last word."""
        if not self.restricted:
            return None
        return self.restricted[-1].matching(skeleton(self.config, None, self.computed_in))

    @cached_property
    def _whole(self) -> Any:
        return self._skeleton(None)

    def _skeleton(self, layers: int | None) -> Any:
        """As it is trained: what no pass reaches is not."""
        model = skeleton(self.config, self.lora, self.computed_in, layers, self._chosen, self.quantise)
        asked = outputs_of(self._terms(layers or self.config.num_hidden_layers).values())
        reach = {id(weight) for weight in reached(model, asked)}
        for weight in model.parameters():
            weight.requires_grad_(weight.requires_grad and id(weight) in reach)
        return model

    @cached_property
    def _depth(self) -> int:
        """How many layers a pass goes through."""
        asked, layers = outputs_of(self.stage.terms.values()), self.config.num_hidden_layers
        return layers if asked.logits else 1 + max(number_of(layer, layers) for layer in asked.layers)

    def _terms(self, layers: int) -> dict[str, Loss]:
        """The terms on a model of so many layers; what an inner one gives is read of the one that is repeated."""
        terms = {name: copy.copy(term) for name, term in self.stage.terms.items()}
        for term in terms.values():
            if isinstance(term.reads, States):
                number = number_of(term.reads.layer, self.config.num_hidden_layers)
                if layers < self._depth:
                    number = layers - 1 if number == self._depth - 1 else min(number, 1)
                term.reads = replace(term.reads, layer=number)
        return terms

    @cached_property
    def sizes(self) -> Sizes:
        return sizes_of(self._whole)

    @cached_property
    def _traced(self) -> int:
        return TRACED if self._depth > TRACED and alike(self._whole, self._depth) else self._depth

    @cached_property
    def demand(self) -> Demand:
        sizes, optimiser = self.sizes, str(self.stage.arguments.get("optim", "adamw"))
        compared = any(term.needs_reference for term in self.stage.terms.values())
        copied = (0, 0)
        if compared and self.lora is None:
            copied = (sizes.parameters, narrow_bytes(self._whole, self.computed_in))
        elif compared and self.taught:
            copied = (sizes.trainable, sizes.trained_bytes)
        if not optimiser.startswith(("adamw", "sgd")):
            raise UserError(
                f"What the optimiser '{optimiser}' holds is not known",
                "Plan with train.arguments.optim=adamw_torch or sgd",
            )
        moments = 0 if optimiser == "sgd" else 2
        if self.stage.project:
            moments += 2  # the average of the retain gradient, and the step's own beside the forget gradient
        return Demand(sizes, *copied, moments, self.runtime, self.computed_in == torch.bfloat16)

    def micro(self, gpus: int) -> Micro:
        """The largest micro-batch of a rank."""
        shards = gpus * self.stage.accumulation
        if shards not in self._micro:
            self._micro[shards] = largest(
                self.stage, self.streams, self.encode, self.config, self.seed, shards, self.looked_at
            )
        return self._micro[shards]

    def peaks(self, gpus: int, sharded: bool = False) -> tuple[Peak, Peak]:
        """Of a micro-batch, with gradients and without.

        Args:
            sharded: under DeepSpeed, where logits stand however many.
        """
        micro = self.micro(gpus)
        key = (micro.examples, sharded and len(micro.step.packed.labels) * self.config.vocab_size > STANDING)
        if key not in self._peaks:
            live = trace(
                self._skeleton(self._traced),
                self._terms(self._traced),
                micro.step,
                self.config.vocab_size,
                autocast=self.demand.bf16,
                keeps_gradients=self.stage.accumulation > 1,
                checkpointing=bool(self.stage.arguments.get("gradient_checkpointing")),
                sharded=sharded,
            )
            self._peaks[key] = peaks(live, self._traced, self._depth, 2 if self.stage.project else 1)
        return self._peaks[key]

    def at(self, gpus: int, engine: Engine) -> Planned:
        """On so many GPUs under an engine."""
        full, bare = self.peaks(gpus, engine.stage > 0)
        micro = self.micro(gpus)
        # An operation's FLOPs go with its tokens; attention within an example is a small part of them.
        flops = full.flops * micro.mean_tokens / micro.tokens
        used = usage(self.demand, engine, gpus, full, bare)
        return Planned(gpus, engine.name, used, micro, self.stage.steps(self.streams), flops, self.times)


def smallest(grid: list[list[Planned]], memory: float) -> Planned | None:
    """The fewest GPUs, and on these the first engine, whose memory holds every training.

    Args:
        grid: for each set-up, simplest engine first, its trainings. One that does not divide the batch is passed over.
    """
    fits = [
        max(trainings, key=lambda planned: planned.usage.total)
        for trainings in grid
        if all(planned.usage.total <= memory and planned.micro.divides for planned in trainings)
    ]
    return min(fits, key=lambda planned: planned.gpus, default=None)


@dataclass(frozen=True)
class Asked:
    """The keys of the `plan` node."""

    gpus: Positive
    memory: AboveZero
    peak_flops: AboveZero
    mfu: Annotated[float, Bound(0, 1, above=True)]
    runtime: Nonnegative
    dtype: Literal["bfloat16", "float16", "float32"]
    grid: list[Positive]
    gpus_a_node: Positive
    looked_at: Positive
    json: str | None
    stand_in: Annotated[dict[str, Any], Arguments("unlearnkit.plan.rows.StandIn")]
    architectures: dict[str, dict[str, Any]]
