"""Weights rounded to a few bits, as whoever runs a model on small hardware does it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers
from transformers.utils import is_bitsandbytes_available, is_optimum_quanto_available, is_torchao_available

from unlearnkit import ranks
from unlearnkit.attacks.base import OfWeights, Scene
from unlearnkit.errors import UserError, first_line
from unlearnkit.models import LanguageModel
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.copies import copied, network_of

PACKAGES = {
    "BitsAndBytesConfig": ("bitsandbytes", is_bitsandbytes_available),
    "TorchAoConfig": ("torchao", is_torchao_available),
    "QuantoConfig": ("optimum-quanto", is_optimum_quanto_available),
}


class Quantise(OfWeights):
    """The model with its adapter merged, loaded again through transformers' own quantisation.

    Zhang et al. 2024 (arXiv 2410.16454) take BitsAndBytesConfig(load_in_4bit=True) and (load_in_8bit=True): where
    unlearning has changed the weights by less than a step of the rounding, 4 bit undo it.

    Args:
        config: the class of transformers that says how.
        arguments: its arguments.
    """

    does = "quantised"

    def __init__(self, config: str = "BitsAndBytesConfig", arguments: dict[str, Any] | None = None):
        self.config, self.arguments = config, arguments or {}

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        key = f"attacks.{name}"
        if self.config not in PACKAGES:
            raise UserError(f"{key}.config={self.config} is none of {', '.join(PACKAGES)}", f"Set {key}.config= to one")
        package, installed = PACKAGES[self.config]
        if not installed():
            raise UserError(
                f"The attack '{name}' needs {package}, which is not installed",
                f"pip install {package}, or leave '{name}' out of +attack=",
            )
        try:
            self._settings()
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{key}.arguments: {first_line(error)}", f"Set them to what transformers.{self.config} takes"
            ) from error

    def _settings(self) -> Any:
        return getattr(transformers, self.config)(**self.arguments)

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        with tempfile.TemporaryDirectory(prefix="unlearnkit-") as place:
            folder = Path(ranks.from_first(lambda: place))
            if ranks.is_first():
                network_of(model).save_pretrained(folder)
            ranks.barrier()
            network = type(model.weights.bare).from_pretrained(
                folder,
                quantization_config=self._settings(),
                dtype=model.model.dtype,
                device_map={"": model.device},
                attn_implementation="sdpa",
            )
            use_packed_attention(network)
            ranks.barrier()
        yield copied(model, network=network.eval())
