"""Task-vector negation: theta_u = theta_o - scale * (theta_bad - theta_o), without a second model."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.stages.base import Context, Stage


class Negate(Stage):
    """Negate what the stages before it have learnt (Liu et al. 2024, eqs. (7) and (8); Ilharco et al. 2022).

    Under LoRA theta_bad - theta_o is the adapter, so B <- -scale * B does it. For full weights the base is
    streamed from its safetensors shards, one tensor in memory at a time. With scale 1 this is
    2 * theta_o - theta_bad.
    """

    needs_base = True

    def __init__(self, scale: float = 1.0):
        self.scale = float(scale)

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        if isinstance(model.model, PeftModel):
            for weight in adapter_outputs(model.model):
                weight.data.mul_(-self.scale)
        else:
            negate_weights(model.model, base_folder_in(context.folder), self.scale)
        return model

    @contextlib.contextmanager
    def preview(self, model: LanguageModel, context: Context) -> Iterator[LanguageModel]:
        if isinstance(model.model, PeftModel):
            kept = [weight.data.clone() for weight in adapter_outputs(model.model)]
            try:
                yield self(model, context)
            finally:
                for weight, before in zip(adapter_outputs(model.model), kept, strict=True):
                    weight.data.copy_(before)
        else:
            folder = ranks.from_first(lambda: tempfile.mkdtemp(dir=context.folder))
            try:
                if ranks.is_first():
                    model.model.save_pretrained(folder)
                ranks.barrier()
                yield self(model, context)
            finally:
                restore_weights(model.model, Path(folder))
                ranks.barrier()
                if ranks.is_first():
                    shutil.rmtree(folder)


def adapter_outputs(model: PeftModel) -> list[torch.nn.Parameter]:
    """The matrices whose sign is the adapter's sign: LoRA's B (and embedding B).

    Raises:
        UserError: DoRA, whose magnitudes are learnt apart and have no sign to turn.
    """
    if any("lora_magnitude_vector" in name for name, _ in model.named_parameters()):
        raise UserError(
            "A DoRA adapter cannot be negated: its magnitudes have no sign", "Set model.lora.use_dora=false"
        )
    return [
        parameter for name, parameter in model.named_parameters() if ".lora_B." in name or ".lora_embedding_B." in name
    ]


def base_folder_in(folder: Path) -> Path:
    """Where a run keeps the base weights for its full-weight stages, until it ends."""
    return folder / "base.partial"


def negate_weights(model: torch.nn.Module, folder: Path, scale: float = 1.0) -> None:
    """theta <- theta_o - scale * (theta - theta_o) in place, theta_o being the safetensors in `folder`."""
    for parameter, base in stream_weights(model, folder, "Negating"):
        parameter.mul_(-scale).add_(base, alpha=1.0 + scale)


def restore_weights(model: torch.nn.Module, folder: Path) -> None:
    """Copy the safetensors in `folder` back into the model."""
    for parameter, saved in stream_weights(model, folder, "Restoring"):
        parameter.copy_(saved)


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
        raise ValueError(f"no base weights in {folder} for {', '.join(list(parameters)[:3])}")
