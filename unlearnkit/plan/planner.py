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
from unlearnkit.plan.optimisers import IN_8_BIT, MOMENTS, packed_share
from unlearnkit.plan.rows import Encode, Micro, Row, largest
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
        self._peaks: dict[tuple[int, int, bool], tuple[Peak, Peak]] = {}

    @cached_property
    def _chosen(self) -> set[str] | None:
        """The weights that are trained, where a stage says so; the last one has the last word."""
        if not self.restricted:
            return None
        return self.restricted[-1].matching(skeleton(self.config, None, self.computed_in))

    @cached_property
    def _whole(self) -> Any:
        return self._skeleton(self.stage.terms, None)

    def _skeleton(self, terms: dict[str, Loss], layers: int | None) -> Any:
        """As it is trained: what no pass of these terms reaches is not."""
        model = skeleton(self.config, self.lora, self.computed_in, layers, self._chosen, self.quantise)
        asked = outputs_of(terms.values())
        reach = {id(weight) for weight in reached(model, asked)}
        for weight in model.parameters():
            weight.requires_grad_(weight.requires_grad and id(weight) in reach)
        return model

    def _depth(self, terms: dict[str, Loss]) -> int:
        """How many layers a pass of these terms goes through."""
        asked, layers = outputs_of(terms.values()), self.config.num_hidden_layers
        return layers if asked.whole else 1 + max(number_of(layer, layers) for layer in asked.layers)

    def _drawn_in(self, terms: dict[str, Loss], layers: int) -> dict[str, Loss]:
        """The terms on a model of so many layers; what an inner one gives is read of the one that is repeated."""
        depth = self._depth(terms)
        terms = {name: copy.copy(term) for name, term in terms.items()}
        for term in terms.values():
            if isinstance(term.reads, States):
                number = number_of(term.reads.layer, self.config.num_hidden_layers)
                if layers < depth:
                    number = layers - 1 if number == depth - 1 else min(number, 1)
                term.reads = replace(term.reads, layer=number)
        return terms

    @cached_property
    def sizes(self) -> Sizes:
        return sizes_of(self._whole)

    @cached_property
    def demand(self) -> Demand:
        sizes, optimiser = self.sizes, str(self.stage.arguments.get("optim", "adamw_torch"))
        compared = any(term.needs_reference for term in self.stage.terms.values())
        copied = (0, 0)
        if compared and self.lora is None:
            copied = (sizes.parameters, narrow_bytes(self._whole, self.computed_in))
        elif compared and self.taught:
            copied = (sizes.trainable, sizes.trained_bytes)
        if optimiser not in MOMENTS:
            raise UserError(
                f"What the optimiser '{optimiser}' holds is not known",
                f"Plan with train.arguments.optim={', '.join(sorted(MOMENTS))}",
            )
        moments: float = MOMENTS[optimiser]
        if optimiser in IN_8_BIT:
            moments *= packed_share(
                parameter.numel() for parameter in self._whole.parameters() if parameter.requires_grad
            )
        if self.stage.project:
            moments += 1  # the average of the retain gradient
        return Demand(sizes, *copied, moments, self.runtime, self.computed_in == torch.bfloat16)

    def micro(self, gpus: int) -> Micro:
        """The largest micro-batch of a rank."""
        shards = gpus * self.stage.accumulation
        if shards not in self._micro:
            self._micro[shards] = largest(
                self.stage, self.streams, self.encode, self.config, self.seed, shards, self.looked_at
            )
        return self._micro[shards]

    def peaks(self, gpus: int, sharded: bool = False) -> list[tuple[Peak, Peak]]:
        """Of each of a micro-batch's passes, with gradients and without.

        Args:
            sharded: under DeepSpeed, where logits stand however many.
        """
        micro, found = self.micro(gpus), []
        for number, row in enumerate(micro.rows):
            key = (micro.examples, number, sharded and row.answer_tokens * self.config.vocab_size > STANDING)
            if key not in self._peaks:
                self._peaks[key] = self._traced(row, sharded)
            full, bare = self._peaks[key]
            before = len(micro.rows) - 1 if self.stage.accumulation > 1 else number  # passes whose gradients are held
            held = before * self.sizes.trained_bytes
            found.append((replace(full, gradients=full.gradients + held), bare))
        return found

    def _traced(self, row: Row, sharded: bool) -> tuple[Peak, Peak]:
        depth = self._depth(row.terms)
        layers = TRACED if depth > TRACED and alike(self._whole, depth) else depth
        terms = self._drawn_in(row.terms, layers)
        live = trace(
            self._skeleton(terms, layers),
            terms,
            row.step,
            self.config.vocab_size,
            autocast=self.demand.bf16,
            keeps_gradients=self.stage.accumulation > 1,
            checkpointing=bool(self.stage.arguments.get("gradient_checkpointing")),
            sharded=sharded,
        )
        return peaks(live, layers, depth)

    def at(self, gpus: int, engine: Engine) -> Planned:
        """On so many GPUs under an engine."""
        micro, passes = self.micro(gpus), self.peaks(gpus, engine.stage > 0)
        # An operation's FLOPs go with its tokens; attention within an example is a small part of them.
        flops = sum(
            full.flops * row.mean_tokens / row.tokens for row, (full, _) in zip(micro.rows, passes, strict=True)
        )
        used = max((usage(self.demand, engine, gpus, *each) for each in passes), key=lambda used: used.total)
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
