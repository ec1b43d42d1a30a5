"""Weights rounded to a few bits, as whoever runs a model on small hardware does it."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from unlearnkit import ranks
from unlearnkit.attacks.base import OfWeights, Scene
from unlearnkit.errors import UserError, first_line
from unlearnkit.memory import release
from unlearnkit.models import LanguageModel
from unlearnkit.models.copies import copied, network_of
from unlearnkit.models.quantised import WAYS, settings


class Quantise(OfWeights):
    """The model with its adapter merged, loaded again through transformers' own quantisation.

    Zhang et al. 2024 (arXiv 2410.16454) take BitsAndBytesConfig(load_in_4bit=True) and (load_in_8bit=True): where
    unlearning has changed the weights by less than a step of the rounding, 4 bit undo it.

    Attributes:
        found: the way that was taken, and the version of its package.

    Args:
        bits: of a weight.
        config: the class of transformers that says how, of `WAYS`; None: the first whose package is installed.
        arguments: further ones of that class.
    """

    does = "quantised"

    def __init__(self, bits: Literal[4, 8], config: str | None = None, arguments: dict[str, Any] | None = None):
        self.bits, self.config, self.arguments = bits, config, arguments or {}

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        key = f"attacks.{name}"
        if self.config is not None and self.config not in WAYS:
            raise UserError(f"{key}.config={self.config} is none of {', '.join(WAYS)}", f"Set {key}.config= to one")
        configs = [self.config] if self.config else list(WAYS)
        self.way = next((config for config in configs if WAYS[config].installed()), "")
        if not self.way:
            packages = [WAYS[config].package for config in configs]
            raise UserError(
                f"The attack '{name}' needs {' or '.join(packages)}: not installed",
                f"pip install {'optimum-quanto, or on a GPU bitsandbytes' if len(packages) > 1 else packages[0]};"
                f" or leave '{name}' out of +attack=",
            )
        try:
            self._settings()
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{key}.arguments: {first_line(error)}", f"Set them to what transformers.{self.way} takes"
            ) from error
        package = WAYS[self.way].package
        self.details = {"config": self.way, "bits": self.bits, package: version(package)}

    def _settings(self) -> Any:
        return settings(self.way, self.bits, self.arguments)

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        with copied(model, lambda: self._rounded(model)) as attacked:
            yield attacked

    def _rounded(self, model: LanguageModel) -> Any:
        with tempfile.TemporaryDirectory(prefix="unlearnkit-") as place:
            folder = Path(ranks.from_first(lambda: place))
            if ranks.is_first():
                network_of(model).save_pretrained(folder)
            ranks.barrier()
            release()
            network = type(model.weights.bare).from_pretrained(
                folder,
                quantization_config=self._settings(),
                dtype=model.model.dtype,
                device_map={"": model.device},
                attn_implementation=model.weights.bare.config._attn_implementation,
            )
            network.forward = _readable(network.forward)
            ranks.barrier()
        return network.eval()


def _readable(forward: Callable[..., Any]) -> Callable[..., Any]:
    """quanto's weights cannot be read in inference mode, which what measures a model is in."""

    @functools.wraps(forward)
    def outside(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_inference_mode_enabled():
            return forward(*args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():
            return forward(*args, **kwargs)

    return outside
