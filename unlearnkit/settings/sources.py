"""What a model that no paper names is trained with."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from unlearnkit.settings.sizes import OTHERS, parameters_of
from unlearnkit.settings.yaml import options

CHANGED = "model.lora=, train.max_steps=, train.arguments.learning_rate= choose others"


def taken(config: DictConfig, choice: str, paper: str | None) -> str | None:
    """One line on the settings that a run takes from a paper's table, and from which row; None where it takes none.

    Args:
        choice: the chosen option of the group `model`.
        paper: the chosen table of `conf/paper`.
    """
    name, lora = config.model.get("name"), config.model.get("lora")
    parts = []
    if choice != name and choice in options("model"):
        parts.append("all weights are trained" if lora is None else f"{_adapter(lora)}, as of {choice}")
    rate = OmegaConf.select(config, "train.arguments.learning_rate")
    if config.get("stages") and rate is not None and paper is not None:
        steps = config.train.get("max_steps")
        length = f"{config.train.get('epochs')} epochs" if steps is None else f"{steps} steps"
        row = OmegaConf.select(config, "paper.taken")
        parts.append(f"{length} of {config.train.get('batch_size')} at {rate:g}")
        parts.append(f"settings of conf/paper/{paper}.yaml, row '{row}'" + (_why(config) if row == OTHERS else ""))
    return f"{name}: {'; '.join(parts)} ({CHANGED})" if parts else None


def _adapter(lora: DictConfig) -> str:
    modules = lora.get("target_modules")
    modules = modules if isinstance(modules, str) else ", ".join(modules or ["PEFT's own modules"])
    return f"LoRA r {lora.get('r', 8)}, alpha {lora.get('lora_alpha', 8)} on {modules}"


def _why(config: DictConfig) -> str:
    size = parameters_of(config.model.get("path"), config.model.get("hub"))
    known = "of unknown size" if size is None else f"of about {size / 1e6:.3g} million parameters"
    return f", careful, for a model {known} that has no row of its own"
