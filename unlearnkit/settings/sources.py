"""What a model that no paper names is trained with."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from unlearnkit.settings.yaml import options


def borrowed(config: DictConfig, choice: str) -> str | None:
    """One line on the settings that go along with a model of another source; None where none do.

    Args:
        choice: the chosen option of the group `model`.
    """
    name = config.model.get("name")
    if choice == name or choice not in options("model"):
        return None
    lora = config.model.get("lora")
    parts = [f"all weights are trained, as of {choice}"]
    if lora is not None:
        modules = lora.get("target_modules")
        modules = modules if isinstance(modules, str) else ", ".join(modules or ["PEFT's own modules"])
        parts = [f"LoRA r {lora.get('r', 8)}, alpha {lora.get('lora_alpha', 8)} on {modules}, as of {choice}"]
    rate = OmegaConf.select(config, "train.arguments.learning_rate")
    if config.get("stages") and rate is not None:
        length = config.train.get("max_steps")
        long = f"{config.train.get('epochs')} epochs" if length is None else f"{length} steps"
        row = "its own row" if name in (OmegaConf.select(config, "paper.rows") or {}) else "no row of its own"
        parts.append(f"{long} of {config.train.get('batch_size')} at {rate:g}, as {row} in conf/paper says")
    return f"{name}: {'; '.join(parts)} (model.lora=, train.max_steps=, train.arguments.learning_rate= choose others)"
