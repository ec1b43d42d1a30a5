"""The model that a run saved, put in the place of the original it was made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import instantiate
from safetensors import safe_open
from transformers import AutoConfig

from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError
from unlearnkit.identity import INPUTS
from unlearnkit.inputs import ROWS, inputs
from unlearnkit.models import LanguageModel
from unlearnkit.models.adapter import AdapterLineage
from unlearnkit.models.loading import check_files, network
from unlearnkit.models.sources import ADAPTER
from unlearnkit.models.whole import WholeLineage
from unlearnkit.probes.trace import check_shapes, shape_of
from unlearnkit.sums import SUMS, check

ANEW = "start the run's command again in a new folder"


def original(config: dict[str, Any], data: Data, folder: Path) -> LanguageModel:
    """The model that the run's stages started from: as loaded, or taught the data.

    Args:
        data: the run's, as its config makes them today.

    Raises:
        UserError: the data's rows or the model's files are not those that the run read.
    """
    _check_inputs(config, data, folder)
    model: LanguageModel = instantiate(config["model"], _convert_="all")
    taught = folder / "target"
    if not (taught / "target.json").is_file():
        return cast(LanguageModel, instantiate(config["target"], _convert_="all")(model, data, folder))
    check_saved(model, taught)  # kept in the run folder: target.cache=false
    model.weights.teach(str(taught), bool(config["target"].get("merge")))
    return model


def _check_inputs(config: dict[str, Any], data: Data, folder: Path) -> None:
    before = config.get(INPUTS) or {}
    now = inputs({key: part for key, part in config.items() if key in ("model", "target", "data")}, data)
    for key in before:
        if (key == ROWS or key.startswith("model.")) and key in now and before[key] != now[key]:
            what = "The rows of its data" if key == ROWS else f"The files of {key}"
            raise UserError(f"{what} are not those that the run in {folder} read", f"Restore them, or {ANEW}")


def check_saved(model: LanguageModel, folder: Path) -> None:
    """Refuse saved weights that were not made from this original, before they are loaded.

    Raises:
        UserError: no model in `folder`, another architecture or size, or an adapter for another base.
    """
    check(folder / SUMS, f"It may be another run's: put the run's own model back, or {ANEW}")
    check_files(str(folder))
    if (folder / ADAPTER).is_file():
        _check_adapter(model, folder)
    elif (folder / "config.json").is_file():
        saved = shape_of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
        check_shapes(shape_of(model.model.config), saved, f"The original '{model.name}'", f"in {folder}")
    else:
        raise UserError(
            f"There is no saved model in {folder}", "Run it again with a method and save_model=true (the default)"
        )


def load_saved(model: LanguageModel, folder: Path) -> LanguageModel:
    """The saved model in the place of the original, whose weights leave the memory where they are not its own."""
    check_saved(model, folder)
    if (folder / ADAPTER).is_file() and isinstance(model.weights, AdapterLineage):
        model.weights.move_on(str(folder))
        return model
    return put_in_place(model, folder)


def put_in_place(model: LanguageModel, folder: Path) -> LanguageModel:
    """The model in `folder` as what `model` has become: `start` and `loaded` stay what they were.

    Weights keep the type that they were saved in.
    """
    before = model.weights
    source, reload = before.source, before.reload
    before.network = None  # what is loaded takes its place in memory
    stored = model.dtype if (folder / ADAPTER).is_file() else _saved_type(folder)
    after = WholeLineage(network(model.name, str(folder), stored), source, reload)
    after.taught, after.began = str(folder), getattr(before, "taught", None) or source
    return replace(model, weights=after)


def _saved_type(folder: Path) -> torch.dtype:
    dtype = AutoConfig.from_pretrained(folder, trust_remote_code=False).dtype
    return dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype or "float32"))


def _check_adapter(model: LanguageModel, folder: Path) -> None:
    fix = "Compare an unlearned model with the very model that it was made from"
    base = json.loads((folder / ADAPTER).read_text())["base_model_name_or_path"]
    if Path(base).name != Path(model.source).name:  # the cache or the download may have moved
        raise UserError(f"The adapter in {folder} was made for '{base}', the original is '{model.source}'", fix)
    bare = model.weights.bare
    modules = {name.replace(".base_layer", ""): module for name, module in bare.named_modules()}
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as tensors:
        for key in tensors.keys():  # noqa: SIM118
            name, _, part = key.removeprefix("base_model.model.").partition(".lora_")
            if part[:2] not in ("A.", "B."):
                continue
            shape = tensors.get_slice(key).get_shape()
            size = shape[1] if part.startswith("A.") else shape[0]
            module = modules.get(name.replace(".base_layer", ""))
            if module is not None and not hasattr(module, "weight"):  # experts, whose weights are parameters
                continue
            sizes = _sizes(module)
            if size not in sizes:
                problem = f"a weight of {sizes}" if sizes else "no such module"
                raise UserError(
                    f"The adapter in {folder} does not fit '{model.name}': {key} is {tuple(shape)}, the original has"
                    f" {problem} there",
                    fix,
                )


def _sizes(module: Any) -> tuple[int, ...]:
    """A matrix's two; a quantised one is stored as a line of bytes."""
    if hasattr(module, "out_features"):
        return module.out_features, module.in_features
    return tuple(module.weight.shape) if hasattr(module, "weight") else ()
