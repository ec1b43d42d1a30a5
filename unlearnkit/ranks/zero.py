"""DeepSpeed ZeRO for the length of a training: the run's own model lends its weights and gets them back whole."""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.state import AcceleratorState
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from unlearnkit import ranks
from unlearnkit.errors import UserError

# ZeRO-3 puts another in its place for good, which saves memory in training and rounds otherwise.
LINEAR = torch.nn.functional.linear


class DividedModel:
    """A model whose weights DeepSpeed divides among the ranks.

    DeepSpeed gets `network`, a second module over the same weights, and may take it apart; the model itself stays
    free of hooks and shards. So what comes after a training, or measures the model during it, sees a plain module.

    Args:
        model: any module; it holds no weights until it gets them back.
    """

    def __init__(self, model: torch.nn.Module):
        self.model = model
        memo: dict[int, Any] = {
            id(weight): torch.nn.Parameter(weight.data, weight.requires_grad) for weight in model.parameters()
        }
        self.network = copy.deepcopy(model, memo)
        self._empty()

    def _empty(self) -> None:
        for weight in self.model.parameters():
            weight.grad = None
            weight.data = weight.data.new_empty(0)

    @torch.no_grad()
    def give_back(self) -> None:
        """Put the weights, whole and in the type they had, back into the model; every rank must call it.

        What was trained comes from the optimiser's fp32 masters, so nothing is lost to 16 bits on the way.
        """
        weights = dict(self.network.named_parameters())
        for name, weight in self.model.named_parameters():
            weight.data = _whole(weights[name]).to(weight.dtype)

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """The model with its weights for the length of a `with`.

        What is done there to the weights that are trained is forgotten; the others are not copied.
        """
        self.give_back()
        forget_config()  # accelerate has put it in force again: what is loaded now would come in shards
        in_training, torch.nn.functional.linear = torch.nn.functional.linear, LINEAR
        try:
            yield
        finally:
            torch.nn.functional.linear = in_training
            self._empty()


def _whole(weight: torch.nn.Parameter) -> torch.Tensor:
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param

    if weight.requires_grad:
        master = safe_get_full_fp32_param(weight)
        if master is not None:
            return master.detach().clone()
    if hasattr(weight, "ds_id"):
        with deepspeed.zero.GatheredParameters([weight]):
            return weight.data.clone()
    return weight.data


def prepare() -> None:
    """Have DeepSpeed tell warnings only, and compile nothing: its CPU reduction takes minutes to build.

    It loads its checkpoints as plain pickles, which may run any code: from here on they may hold weights and three
    plain types of its own alone.
    """
    import deepspeed
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils import logger
    from deepspeed.utils.tensor_fragment import fragment_address

    ranks.load_weights_only()
    torch.serialization.add_safe_globals([fragment_address, ZeroStageEnum, LossScaler, DynamicLossScaler])

    logger.setLevel(logging.WARNING)
    deepspeed.ops.__compatible_ops__.pop("deepspeed_shm_comm", None)


def settings(config: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """A DeepSpeed config (`conf/deepspeed`) that computes as the model does everywhere else, see `models.precision`.

    Weights keep their types and autocast rounds what a product reads; what ZeRO sends of linear layers is rounded
    before it is sent.

    Raises:
        UserError: a config that casts the whole model instead.
    """
    for section in ("bf16", "fp16"):
        if (config.get(section) or {}).get("enabled") not in (None, False):
            raise UserError(
                f"deepspeed.{section} casts all weights, so that a training computes otherwise than its references",
                f"Leave deepspeed.{section} out; model.dtype=bfloat16 says what is computed in",
            )
    if dtype == torch.float32:
        return copy.deepcopy(config)
    return {**copy.deepcopy(config), "torch_autocast": {"enabled": True, "dtype": "bfloat16"}}


def frozen_shards(frozen: torch.nn.Module, config: dict[str, Any], dtype: torch.dtype) -> torch.nn.Module:
    """The frozen reference as the training's model is kept: divided under ZeRO-3, else whole on each rank.

    Args:
        config: of DeepSpeed, as in `conf/deepspeed`.
        dtype: the training computes in.
    """
    zero = config["zero_optimization"]
    if zero["stage"] < 3:
        return frozen
    import deepspeed

    options = {key: value for key, value in zero.items() if key != "offload_optimizer"}
    plain = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": options,
        "steps_per_print": config["steps_per_print"],
    }
    engine = deepspeed.initialize(model=frozen, config=settings(plain, dtype))[0]
    engine.eval()
    return engine


def forget_config() -> None:
    """Have transformers load and answer plainly again: a DeepSpeed config in force changes both."""
    unset_hf_deepspeed_config()


def end(trainer: Any) -> None:
    """Free what an engine holds, so that the next training in this process begins anew."""
    frozen = [reference.frozen for reference in trainer.passes.references.values()]
    engines = [engine for engine in (trainer.deepspeed, *frozen) if hasattr(engine, "destroy")]
    for engine in engines:
        engine.destroy()
    trainer.accelerator.free_memory()
    for attribute in ("network", "model", "model_wrapped", "deepspeed", "optimizer"):
        setattr(trainer, attribute, None)
    trainer.passes.references.clear()
    torch.nn.functional.linear = LINEAR
    forget_config()
    AcceleratorState._reset_state(reset_partial_state=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
