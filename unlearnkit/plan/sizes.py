"""A model without its weights: its architecture, what is trained of it, and how many bytes that is."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from unlearnkit.errors import UserError, first_line, nearest
from unlearnkit.models import tiny
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.converted import converted_before
from unlearnkit.models.lineage import linear_weights
from unlearnkit.models.loading import lineage
from unlearnkit.models.quantised import Quantise
from unlearnkit.plan.nf4 import Nf4, in_nf4


@dataclass(frozen=True)
class Sizes:
    """What is counted of a model, in parameters and bytes; tied tensors count once.

    Args:
        weights: bytes of all parameters in the dtypes they are stored in.
        trained_bytes: bytes of those that are trained.
        largest: parameters of the module with the most of its own, which ZeRO-3 gathers at once.
    """

    parameters: int
    trainable: int
    weights: int
    trained_bytes: int
    largest: int


def architecture(model: dict[str, Any], known: dict[str, dict[str, Any]]) -> tuple[Any, PreTrainedTokenizerBase | None]:
    """The transformers config of a `conf/model` node, and its tokenizer where one is at hand; nothing is downloaded
    that HF_HUB_OFFLINE forbids.

    Args:
        known: hub id -> keyword arguments of the config, for models whose config.json is not at hand.

    Raises:
        UserError: no sizes are to be had.
    """
    if "architecture" in model:
        return tiny.config(model["architecture"]), tiny.tokenizer()
    path, hub = model.get("path"), model.get("hub")
    if path and not (Path(path).expanduser() / "config.json").is_file():
        raise UserError(
            f"model.path={path} holds no model: there is no config.json in it",
            "Give a folder with a config.json, or leave model.path out and name a hub id with model.hub=",
        )
    package = model.get("package")
    converted = converted_before(str(model.get("name")), package, str(model.get("gguf"))) if package else None
    source = str(Path(path).expanduser()) if path else str(converted or hub or "")
    if not source:
        raise UserError(f"Model '{model.get('name')}' names no weights", "Set model.path=FOLDER or model.hub=ORG/NAME")
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        if source not in known:
            raise UserError(
                f"The sizes of '{source}' are not known: its config.json is not at hand.{nearest(source, known)}",
                "Give a folder with model.path=, fetch it with"
                f" 'hf download {source} config.json', or let the planner ask: HF_HUB_OFFLINE=0",
            ) from error
        sizes = dict(known[source])
        config = AutoConfig.for_model(sizes.pop("model_type"), **sizes)
    try:
        return config, AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError):
        return config, None


def stored_dtype(computed_in: torch.dtype, lora: dict[str, Any] | None) -> torch.dtype:
    """Full weights are trained in fp32; frozen ones stay in what they are computed in (`models.load_source`)."""
    return torch.float32 if lora is None else computed_in


def skeleton(
    config: Any,
    lora: dict[str, Any] | None,
    computed_in: torch.dtype,
    layers: int | None = None,
    chosen: set[str] | None = None,
    quantise: Quantise = None,
) -> Any:
    """The model on the meta device as a run would train it, with its adapter.

    Args:
        layers: so many of them instead of all.
        chosen: the weights that a stage has restricted the training to, by their names in the bare model.
        quantise: `model.quantise`.
    """
    config = copy.deepcopy(config)
    if layers is not None:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=stored_dtype(computed_in, lora))
            use_packed_attention(model)
            if quantise:
                in_nf4(model, computed_in)
            if chosen is not None:
                weights = lineage(model, lora)
                weights.confine(chosen & {name for name, _ in model.named_parameters()})
                model = weights.network
            elif lora is not None:
                model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora))
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"Such a model cannot be made: {first_line(error)}",
            "Check the sizes in its config.json or plan.architectures, and model.lora",
        ) from error
    return model.train()


def narrow_bytes(model: Any, computed_in: torch.dtype) -> int:
    """Of a frozen copy of a skeleton (`lineage.narrow_copy`)."""
    narrow = {id(weight) for weight in linear_weights(model)}
    return sum(p.numel() * (computed_in if id(p) in narrow else p.dtype).itemsize for p in model.parameters())


def sizes_of(model: Any) -> Sizes:
    """Counts of a skeleton."""
    parameters = list(model.parameters())  # tied ones once
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    packed = [module for module in model.modules() if isinstance(module, Nf4)]
    own = [sum(parameter.numel() for parameter in module.parameters(recurse=False)) for module in model.modules()]
    return Sizes(
        sum(parameter.numel() for parameter in parameters) + sum(part.numbers - part.stored for part in packed),
        sum(parameter.numel() for parameter in trained),
        sum(parameter.nbytes for parameter in parameters),
        sum(parameter.nbytes for parameter in trained),
        max(own),
    )
