"""The restrict stage: what the trainings that follow may change."""

from __future__ import annotations

import re
from typing import Literal, get_args

import torch
from torch import nn

from unlearnkit import ranks
from unlearnkit.errors import UserError, nearest
from unlearnkit.losses.states import check_layer, layer_number
from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import bare, blocks, part_paths
from unlearnkit.stages.base import Context, Stage

Part = Literal["mlp_in", "mlp_out", "attention", "attention_out"]


class Restrict(Stage):
    """Only parameters that fit every choice are trained from here on.

    Under LoRA these are the modules that a fresh adapter stands on; of a taught adapter, what stands elsewhere stays as
    it is.

    Args:
        parts: of each layer: the MLP's first matrices, its second, the attention, the attention's last matrix.
        layers: numbers from 0, or shares of the depth (0.22 of 32 layers is layer 7).
        names: a regular expression, found anywhere in the parameter's name in the bare model.

    Raises:
        UserError: no choice, a part or a layer that is none, or no regular expression.
    """

    def __init__(
        self,
        parts: Part | list[Part] | None = None,
        layers: float | list[float] | None = None,
        names: str | None = None,
    ):
        if parts is None and layers is None and names is None:
            raise UserError(
                "The stage 'restrict' restricts nothing: parts, layers and names are null",
                "Set stages.restrict.parts=, stages.restrict.layers= or stages.restrict.names=, or leave the stage out",
            )
        self.parts: list[Part] | None = [parts] if isinstance(parts, str) else parts
        known = get_args(Part)
        for part in self.parts or ():
            if part not in known:
                raise UserError(
                    f"stages.restrict.parts={part} is no part of a layer.{nearest(part, known)}",
                    f"Set stages.restrict.parts= to some of {', '.join(known)}",
                )
        given = [layers] if isinstance(layers, int | float) else layers
        self.layers = None if given is None else [check_layer(layer, "stages.restrict.layers") for layer in given]
        try:
            self.names = re.compile(names) if names is not None else None
        except re.error as error:
            raise UserError(
                f"stages.restrict.names={names} is no regular expression: {error}",
                "Mend it; a dot that is meant as a dot is written \\.",
            ) from error

    def check_model(self, model: LanguageModel) -> None:
        self.chosen(model)

    def chosen(self, model: LanguageModel) -> list[str]:
        """Names of the bare model's parameters.

        Raises:
            UserError: none fits, with the nearest names.
        """
        network = bare(model.model)
        paths, within = list(_names(network)), self._places(network)
        found = [name for name in paths if self._fits(name, within)]
        if not found:
            wanted = self.names.pattern if self.names else f"parts {self.parts}, layers {self.layers}"
            like = nearest(re.sub(r"\\(.)", r"\1", wanted), paths)
            raise UserError(
                f"stages.restrict fits none of the model's {len(paths)} parameters: {wanted}.{like}",
                f"They are called as '{paths[0]}' and '{paths[len(paths) // 2]}'",
            )
        return found

    def _places(self, network: nn.Module) -> list[str] | None:
        """Paths of modules that the choice of parts and layers names; None: the whole model."""
        if self.parts is None and self.layers is None:
            return None
        layers = blocks(network)
        numbers = range(len(layers))
        if self.layers is not None:
            numbers = sorted({layer_number(layer, len(layers)) for layer in self.layers})  # type: ignore[assignment]
        named = {module: name for name, module in network.named_modules()}
        places = []
        for number in numbers:
            own = named[layers[number]]
            inner = [path for part in self.parts for path in part_paths(network, part)] if self.parts else [""]
            places += [f"{own}.{path}".rstrip(".") for path in inner]
        return places

    def _fits(self, name: str, places: list[str] | None) -> bool:
        inside = places is None or any(name.startswith(f"{place}.") for place in places)
        return inside and (self.names is None or self.names.search(name) is not None)

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        names = self.chosen(model)
        torch.manual_seed(context.seed)  # of a fresh adapter's first weights, as in the finetune stage
        model.weights.confine(names)
        trained = [weight for weight in model.model.parameters() if weight.requires_grad]
        if ranks.is_first():
            count = sum(weight.numel() for weight in trained)
            print(f"Trained from here on: {count:,} parameters of {len(names)} tensors of the model", flush=True)
        return model


def _names(network: nn.Module) -> list[str]:
    """Of the parameters, as in the model without an adapter; what an adapter adds is left out."""
    own = (name for name, _ in network.named_parameters() if ".lora_" not in name and ".modules_to_save." not in name)
    return [name.replace(".base_layer.", ".").replace(".original_module.", ".") for name in own]
