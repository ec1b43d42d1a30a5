"""Where a run's learning rate stands, in its stages and in its config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Stage

RATE = "learning_rate"


def first_training(stages: Mapping[str, Stage]) -> tuple[str, Finetune] | None:
    """The first stage that trains, with its name."""
    return next(((name, stage) for name, stage in stages.items() if isinstance(stage, Finetune)), None)


def rate_of(stage: Finetune) -> float:
    """Its learning rate."""
    return float(stage.arguments[RATE])


def with_rate(stages: Mapping[str, Stage], rate: float) -> dict[str, Stage]:
    """The same stages, changed in place: those that trained at the first training's rate do so at another."""
    training = first_training(stages)
    default = rate_of(training[1]) if training else None
    for stage in stages.values():
        if isinstance(stage, Finetune) and RATE in stage.arguments and rate_of(stage) == default:
            stage.arguments = {**stage.arguments, RATE: rate}
    return dict(stages)


def config_with(config: dict[str, Any], rate: float) -> dict[str, Any]:
    """A run's config with a rate that was chosen by `train.tune`; `tuned` says what it was before."""
    config = copy.deepcopy(config)
    places = [stage["arguments"] for stage in config["stages"].values() if RATE in (stage.get("arguments") or {})]
    default = places[0][RATE]
    for place in (*places, config["train"]["arguments"]):
        if place.get(RATE) == default:
            place[RATE] = rate
    return {**config, "tuned": {"default": default, "rate": rate}}
