"""The restrict stage: name what is trained from here on, and freeze all else."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import torch

from unlearnkit.errors import UserError, nearest
from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import Part, places_of
from unlearnkit.models.reading import layers_of, number_of, place_of_layers
from unlearnkit.models.switching import in_bare
from unlearnkit.settings.bounds import Depth
from unlearnkit.stages.base import Context, Stage

Parts = Part | list[Part] | None


class Restrict(Stage):
    """Confine what follows to weights that are named: all that is given must hold of a weight.

    Under LoRA a fresh adapter stands on their linear layers alone, whatever `model.lora.target_modules` says; of one
    that is there what stands on others is frozen.

    Args:
        parts: of each layer, as the architecture has them (`models.anatomy`); None for all.
        layers: by number or by share of the depth; None for all.
        names: a regular expression that is found in the weight's name in the bare model; None for all.
    """

    def __init__(self, parts: Parts = None, layers: list[Depth] | None = None, names: str | None = None):
        self.parts, self.layers, self.names = [parts] if isinstance(parts, str) else parts, layers, names

    def check(self, key: str) -> None:
        """Raises:
        UserError: it names nothing, or with what is no regular expression.
        """
        if self.everything:
            raise UserError(f"{key} restricts nothing", f"Set {key}.parts=, {key}.layers= or {key}.names=")
        self.check_names(key)

    def check_names(self, key: str) -> None:
        """Raises:
        UserError: `names` is no regular expression.
        """
        try:
            re.compile(self.names or "")
        except re.error as error:
            raise UserError(
                f"{key}.names={self.names} is no regular expression: {error}",
                f"Set {key}.names= to one, such as 'mlp.down_proj'",
            ) from error

    def depths(self) -> list[Depth]:
        return self.layers or []

    def check_model(self, model: LanguageModel) -> None:
        if not self.everything:
            self.matching(model.model)

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        torch.manual_seed(context.seed)  # of a fresh adapter's first weights, as in the finetune stage
        chosen = self.matching(model.model)
        sizes = weights(model.model)
        model.weights.confine(chosen)
        share = sum(sizes[name] for name in chosen) / sum(sizes.values())
        kinds = Counter(name.split(".")[-2] for name in chosen)
        print(
            f"Trained from here on: {len(chosen)} of {len(sizes)} weights, {share:.1%} of the parameters"
            f"{', by LoRA' if model.weights.lora is not None else ''}: "
            + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
            flush=True,
        )
        context.log({"stage": context.stage, "tensors": len(chosen), "share": share})
        return model

    def limit(self, model: LanguageModel) -> None:
        """Begin a training of what is named, or of all."""
        if self.everything:
            model.weights.make_trainable()
        else:
            model.weights.confine(self.matching(model.model))

    @property
    def everything(self) -> bool:
        """Nothing is named."""
        return self.parts is None and self.layers is None and self.names is None

    def matching(self, network: Any) -> set[str]:
        """The names, in the bare model, of the weights that all of it holds of.

        Raises:
            UserError: there is none; a layer that the model does not have; parts of an architecture that is not known.
        """
        known = weights(network)
        matches = {name for name in known if re.search(self.names or "", name)}
        if not matches:
            assert self.names is not None
            parts = {part for name in known for part in name.split(".") if not part.isdigit()}
            raise UserError(
                f"names={self.names} matches no weight of the model.{nearest(self.names, [*parts, *known])}",
                f"Its weights are called by: {', '.join(sorted(parts))}",
            )
        if self.parts is None and self.layers is None:
            return matches
        depth, (_, path) = len(layers_of(network)), place_of_layers(network)
        numbers = range(depth) if self.layers is None else {number_of(layer, depth) for layer in self.layers}
        places = [""]
        if self.parts is not None:
            of = places_of(network)
            places = [f"{place}." for part in self.parts for place in of.part(part)]
        prefixes = tuple(f"{path}.{number}.{place}" for number in numbers for place in places)
        chosen = {name for name in matches if name.startswith(prefixes)}
        if not chosen:
            by_name = f" with names={self.names}" if self.names else ""
            inner = {name.split(".", path.count(".") + 2)[-1] for name in known if name.startswith(f"{path}.")}
            raise UserError(
                f"parts={self.parts} and layers={self.layers}{by_name} match no weight of the model",
                f"Its layers, 0 to {depth - 1}, hold {', '.join(sorted(inner))}",
            )
        return chosen


def weights(network: Any) -> dict[str, int]:
    """Name in the bare model -> parameters."""
    adapter = (".lora_", ".modules_to_save.")
    parameters = network.named_parameters()
    return {in_bare(name): weight.numel() for name, weight in parameters if not any(mark in name for mark in adapter)}
