"""What the original model does and knows: kept on disk, so that no second model stays in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import anatomy
from unlearnkit.models.lineage import answering
from unlearnkit.models.quantised import check_exact
from unlearnkit.probes.head import Head
from unlearnkit.probes.layers import calls, final_states, merged, plain, run_own
from unlearnkit.probes.questions import Question, lay


class Trace:
    """The original on its questions, in safetensors files of a temporary folder (`TMPDIR` says where).

    Of every layer the effective value vectors (with the original's adapters in them), and in every packed row the
    attention states and the coefficients; of every row the states before the output embedding and the logits.

    Args:
        questions: with the original's own answers.
        tokens_a_row: how many tokens are laid into a packed row.

    Raises:
        UserError: quantised weights, whose value vectors cannot be read.
    """

    @torch.inference_mode()
    def __init__(self, model: LanguageModel, questions: list[Question], tokens_a_row: int):
        check_exact(model.model, "read as value vectors")
        self.questions = questions
        self.rows = lay(questions, tokens_a_row, model.device)
        self.name, self.shape = model.name, _shape(model.model)
        self._folder = tempfile.TemporaryDirectory(prefix="unlearnkit-krs-")
        layers, head = anatomy(model.model), Head(model.model)
        for number, layer in enumerate(layers):
            self._write(f"layer-{number}", value_vectors=plain(layer.value_vectors).weight.detach())
        with answering(model.model):
            for place, row in enumerate(self.rows):
                hidden, layer_calls = calls(model.model, layers, row)
                for number, (layer, call) in enumerate(zip(layers, layer_calls, strict=True)):
                    with merged(layer):
                        hidden, attention, coefficients = run_own(layer, call, hidden)
                    self._write(f"row-{place}-layer-{number}", attention=attention, coefficients=coefficients)
                states = final_states(model.model, layers, row, hidden)[0]
                self._write(f"row-{place}", states=states, logits=head.logits(states))

    def value_vectors(self, number: int, device: torch.device | str) -> torch.Tensor:
        """The weight of that layer's module, as the module keeps it."""
        return self._read(f"layer-{number}", device)["value_vectors"]

    def layer(self, row: int, number: int, device: torch.device | str) -> dict[str, torch.Tensor]:
        """`attention` (T, H) and `coefficients` (T, n) of one layer in one row."""
        return self._read(f"row-{row}-layer-{number}", device)

    def end(self, row: int, device: torch.device | str) -> dict[str, torch.Tensor]:
        """`states` (K, H) before the output embedding and `logits` (K, V) of one row."""
        return self._read(f"row-{row}", device)

    def check(self, model: LanguageModel) -> None:
        """Refuse a model that cannot have been made from the original."""
        check_shapes(self.shape, _shape(model.model), f"The original '{self.name}'", f"'{model.name}'")

    def _write(self, name: str, **tensors: torch.Tensor) -> None:
        path = Path(self._folder.name) / f"{name}.safetensors"
        save_file({key: tensor.cpu().contiguous().clone() for key, tensor in tensors.items()}, path)

    def _read(self, name: str, device: torch.device | str) -> dict[str, torch.Tensor]:
        with safe_open(Path(self._folder.name) / f"{name}.safetensors", framework="pt") as tensors:
            return {key: tensors.get_tensor(key).to(device) for key in tensors.keys()}  # noqa: SIM118


def shape_of(config: Any) -> dict[str, Any]:
    """What two models that are compared must share, out of a transformers config."""
    names = ("model_type", "num_hidden_layers", "hidden_size", "vocab_size")
    return {name: getattr(config, name, None) for name in names}


def check_shapes(original: dict[str, Any], unlearned: dict[str, Any], first: str, second: str) -> None:
    """Refuse two models that do not belong together.

    Raises:
        UserError: naming what differs first.
    """
    for name, value in original.items():
        if unlearned[name] != value:
            raise UserError(
                f"{first} and the unlearned model {second} do not belong together: {name} is {value} in the first"
                f" and {unlearned[name]} in the second",
                "Compare an unlearned model with the very model that it was made from",
            )


def _shape(model: Any) -> dict[str, Any]:
    # The embedding's rows, for a config is not always told of an enlarged vocabulary.
    return {**shape_of(model.config), "vocab_size": model.get_output_embeddings().weight.shape[0]}
