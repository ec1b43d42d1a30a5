"""One plan, top to bottom: a run's config, its trainings, what they take on the GPUs asked for and on others."""

from __future__ import annotations

from typing import Any

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from unlearnkit import configuration
from unlearnkit.controls import NEVER_KNEW
from unlearnkit.controls.taught import Taught
from unlearnkit.data.alternatives import Alternatives
from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError
from unlearnkit.models.configs import BASE
from unlearnkit.models.quantised import check_quantised
from unlearnkit.plan.control import taught_to_control
from unlearnkit.plan.memory import Engine
from unlearnkit.plan.planner import Device, Planned, Planner, smallest
from unlearnkit.plan.rows import StandIn, encoder, streams_of
from unlearnkit.plan.sizes import architecture
from unlearnkit.plan.table import GB, as_json, grid_table, parts_table
from unlearnkit.runs.checks import check_beside, check_stages
from unlearnkit.runs.tuned import first_training
from unlearnkit.stages.finetune import Finetune
from unlearnkit.stages.restrict import Restrict


def run(cfg: DictConfig, engine: str) -> dict[str, Any]:
    """Print a run's plan; returns its numbers.

    Args:
        engine: the chosen `conf/deepspeed`.

    Raises:
        UserError: sizes that are not known, a grid of nothing, or a run that trains nothing.
    """
    plan = plain(cfg.plan)
    if not plan["grid"]:
        raise UserError("plan.grid=[] names no GPUs", "Set plan.grid=[1,2,4,8] or other whole numbers")
    device = Device(float(plan["memory"]), float(plan["peak_flops"]), float(plan["mfu"]))
    planners, notes = trainings(cfg, plan)
    engines_too = [] if cfg.model.get("quantise") else configuration.options("deepspeed")
    names = ["none", *(name for name in engines_too if name != "none")]
    own = Engine.read(engine, plain(cfg.deepspeed))
    engines = [own if name == engine else read_engine(name) for name in names]
    asked = {name: planner.at(plan["gpus"], own) for name, planner in planners.items()}
    grid = [
        [planner.at(gpus, engine) for planner in planners.values()]
        for gpus in sorted(set(plan["grid"]))
        for engine in engines
    ]
    best = smallest(grid, device.memory)
    _show(cfg, planners, asked, grid, best, device, [each.name for each in engines], plan, notes)
    sizes = next(iter(planners.values())).sizes
    return {"notes": notes, **as_json(sizes, asked, grid, best, device)}


def trainings(cfg: DictConfig, plan: dict[str, Any]) -> tuple[dict[str, Planner], list[str]]:
    """A planner for each training of the run, the target's and the control's among them, and what was assumed."""
    method = instantiate(cfg.stages, _convert_="all")
    stages = {name: stage for name, stage in method.items() if isinstance(stage, Finetune)}
    target = instantiate(cfg.target, _convert_="all")
    taught = {"target": target.stage} if isinstance(target, Taught) else {}
    every = {**taught, **stages}
    if not every:
        raise UserError("Nothing is trained here, so there is nothing to plan", "Choose a method with +method=")
    model = plain(cfg.model)
    config, tokenizer = architecture(model, plan["architectures"])
    quantise = model.get("quantise")
    check_quantised(str(model.get("name")), config, model.get("lora"), quantise)
    check_beside(method, BASE, target, bool(quantise))
    template = instantiate(cfg.model.template)
    stand_in = StandIn(**plan["stand_in"])
    streams, own = streams_of(cfg, every, stand_in)
    check_stages(every, streams)  # type: ignore[arg-type]
    invented = [stream for stream in streams.values() if isinstance(stream, Alternatives)]
    for stream in invented:
        stream.stand_in()
    encode, computed_in = encoder(tokenizer, template, stand_in), dtype(model, plan)
    notes = ["Alternatives are taken to be as long as the answers; to sample them is not counted"] if invented else []
    if own is None:
        notes.append(
            f"data={cfg.data.name} is not at hand: {stand_in.rows} rows a stream of {stand_in.prompt_tokens} +"
            f" {stand_in.response_tokens} tokens are assumed (plan.stand_in)"
        )
    if tokenizer is None:
        notes.append(f"No tokenizer at hand: {stand_in.characters_a_token} characters a token are assumed")

    first = first_training(stages)
    trials = int(cfg.train.get("tune") or 0)

    def planner(stage: Finetune, seed: int, goes_on: bool, streams: dict[str, Stream] = streams) -> Planner:
        more = seed, goes_on, int(plan["runtime"]), plan["looked_at"], _restricted(stage, list(method.values()))
        times = 1 + trials if first and stage is first[1] else 1
        return Planner(config, model.get("lora"), computed_in, stage, streams, encode, *more, times, quantise)

    goes_on = bool(taught) and not target.merge
    made = {name: planner(stage, target.seed, False) for name, stage in taught.items()}
    if taught and (rows := taught_to_control(cfg, streams, own)) is not None:
        made[NEVER_KNEW] = planner(target.stage, target.seed, False, rows)
        notes.append(f"{NEVER_KNEW} is taught once, and kept for all runs with the same data and settings")
    return made | {name: planner(stage, cfg.seed, goes_on) for name, stage in stages.items()}, notes


def _restricted(stage: Finetune, stages: list[Any]) -> tuple[Restrict, ...]:
    """The stages before a training that name what is trained."""
    before = stages[: stages.index(stage)] if stage in stages else []
    return tuple(other for other in before if isinstance(other, Restrict) and not other.everything)


def dtype(model: dict[str, Any], plan: dict[str, Any]) -> torch.dtype:
    """What the model computes in on the planned GPU."""
    name = model.get("dtype", "auto")
    found: torch.dtype = getattr(torch, plan["dtype"] if name == "auto" else name)
    return found


def plain(cfg: Any) -> Any:
    """A config node's values."""
    return OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg


def read_engine(name: str) -> Engine:
    """An option of `conf/deepspeed` as it stands there."""
    return Engine.read(name, plain(compose(f"deepspeed/{name}").get("deepspeed")))


def _show(
    cfg: DictConfig,
    planners: dict[str, Planner],
    asked: dict[str, Planned],
    grid: list[list[Planned]],
    best: Planned | None,
    device: Device,
    engines: list[str],
    plan: dict[str, Any],
    notes: list[str],
) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    planner = next(iter(planners.values()))
    sizes, first = planner.sizes, next(iter(asked.values()))
    kind = "LoRA" if planner.lora is not None else "full weights"
    kind += f" beside {planner.quantise}" if planner.quantise else ""
    computed_in = str(planner.computed_in).removeprefix("torch.")
    console.print(
        f"{cfg.method} on {cfg.model.name}: {sizes.parameters:,} parameters, {sizes.trainable:,} trained"
        f" ({kind}, {computed_in})"
    )
    gpus = "1 GPU" if first.gpus == 1 else f"{first.gpus} GPUs"
    console.print(parts_table(asked, f"{first.engine} on {gpus}"))
    for name, planned in asked.items():
        flops, micro = planned.flops, planned.micro
        tried = f"{planned.times} times (train.tune={planned.times - 1}) " if planned.times > 1 else ""
        console.print(
            f"{name}: {tried}{planned.steps:,} steps of {micro.mean_tokens:,.0f} tokens ({micro.examples} of each"
            f" stream a micro-batch, at most {micro.tokens:,} tokens), {flops:.3g} FLOPs,"
            f" {device.hours(flops, planned.gpus):.3g} hours at MFU {device.mfu:g} of {device.peak_flops:.3g} FLOP/s",
            soft_wrap=True,
        )
        if planned.usage.host:
            node = min(planned.gpus, plan["gpus_a_node"])
            console.print(f"{name}: offloads {planned.usage.host * node / GB:.1f} GB to the memory of each machine")
    console.print(grid_table(grid, device, engines, sorted(set(plan["grid"]))))
    if not all(planned.micro.divides for trainings in grid for planned in trainings):
        console.print("* the batch does not split into so many ranks x micro-batches; planned with it rounded up")
    if best is None:
        console.print("Nothing in this grid fits: more memory, gradient checkpointing or a smaller batch would help")
    else:
        console.print(f"The smallest that fits: {best.gpus} x {device.memory / GB:g} GB with deepspeed={best.engine}")
    console.print("Counted: the training itself. Not counted: measuring and generating, locate, fila, negate, memit")
    for note in notes:
        console.print(f"Note: {note}", soft_wrap=True)
