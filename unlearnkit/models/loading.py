"""Find a model, and load it with its tokenizer, template and LoRA settings."""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from unlearnkit.content import digest_of
from unlearnkit.errors import UserError
from unlearnkit.models.adapter import AdapterLineage
from unlearnkit.models.admission import check_packing
from unlearnkit.models.anatomy import bare
from unlearnkit.models.attention import AUTO, Way, check_way, softcaps, use_packed_attention
from unlearnkit.models.failures import told
from unlearnkit.models.finite import odd_weight
from unlearnkit.models.generation import end_tokens
from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.lineage import Lineage
from unlearnkit.models.lora import Lora, check_targets
from unlearnkit.models.precision import Dtype, chosen, computing
from unlearnkit.models.quantised import (
    Quantise,
    check_package,
    check_quantised,
    check_rounding,
    check_scales,
    nf4,
)
from unlearnkit.models.sources import base_of, check_folder, locate
from unlearnkit.models.switching import merged, of_adapter
from unlearnkit.models.templates import Template
from unlearnkit.models.whole import WholeLineage
from unlearnkit.notices import notice
from unlearnkit.settings.bounds import Name
from unlearnkit.sums import SUMS, read


def load(
    name: Name,
    hub: str | None = None,
    path: str | None = None,
    package: str | None = None,
    gguf: str | None = None,
    dtype: Dtype = "auto",
    lora: Lora = None,
    template: Template | None = None,
    attention: Way = "auto",
    quantise: Quantise = None,
) -> LanguageModel:
    """Load a causal language model.

    Args:
        name: the model's name in tables.
        hub: its Hugging Face hub id.
        path: a local folder with weights and tokenizer; wins over `hub` and `package`.
        package: an installed Python package that carries the weights as the GGUF file `gguf`.
        dtype: what it computes in: "bfloat16", "float32" or "auto", see `unlearnkit.models.precision`.
        lora: arguments of `peft.LoraConfig`, or None to train all weights.
        template: how a question is put to the model.
        attention: how packed rows are attended, see `use_packed_attention`.
        quantise: "nf4" rounds the weights as they are loaded, see `unlearnkit.models.quantised`; None leaves them.

    Raises:
        UserError: no weights where they should be, an architecture that does not pack, or attention that cannot be had.
    """
    source = locate(name, hub, path, package, gguf)
    return load_source(name, source, dtype, lora, template or Template(), attention, quantise)


def load_source(
    name: str,
    source: str,
    dtype: str,
    lora: dict[str, Any] | None,
    template: Template,
    attention: str = AUTO,
    quantise: Quantise = None,
) -> LanguageModel:
    """Load from a folder or hub id; see `load`."""
    check_package(quantise)
    tokenizer, config, template = asked(name, source, template)
    base = base_of(source)
    check_rounding(source, quantise)
    check_quantised(name, config, lora, quantise, base if base != source else None)
    if lora is not None:
        check_targets(config, lora)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    check_tokens(name, tokenizer, config, template)
    computed_in = chosen(dtype, config)
    check_way(attention, computed_in, config)
    # AdamW's small steps are lost in bf16 weights, so full fine-tuning keeps fp32 master weights.
    stored = torch.float32 if lora is None else computed_in
    reload = partial(network, name, stored=stored, computed_in=computed_in, attention=attention, quantise=quantise)
    weights = lineage(reload(source), lora, source, reload, own_base=base == source)
    return LanguageModel(name, tokenizer, template, weights, computed_in)


def asked(name: str, source: str, template: Template) -> tuple[Any, Any, Template]:
    """How a model is asked, without its weights: its tokenizer, its config, and the template that is taken.

    Raises:
        UserError: files that are not there, not whole or not a causal language model's.
    """
    check_files(source)
    base = base_of(source)
    for place in dict.fromkeys((source, base)):
        check_folder(place)
    with told(name, base):
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    with told(name, source):
        tokenizer = AutoTokenizer.from_pretrained(_with_tokenizer(source, base), trust_remote_code=False)
    fitting = template.fitting(tokenizer)
    if fitting is not template:
        notice(
            f"{name} has no chat template, so it is asked in plain text: {fitting.text!r}"
            " (model.template.text= sets another)"
        )
    fitting.check(tokenizer, name)
    return tokenizer, config, fitting


def _with_tokenizer(source: str, base: str) -> str:
    """The adapter's folder, or its base where the adapter came without a tokenizer."""
    folder = Path(source)
    return base if base != source and folder.is_dir() and not any(folder.glob("tokenizer*")) else source


def check_files(source: str) -> None:
    """A folder that this framework wrote is as it was written; any other folder passes.

    Raises:
        UserError: a file is not, or is gone.
    """
    folder = Path(source)
    for name, digests in read(folder).items():
        if not (folder / name).is_file() or digest_of(folder / name) not in digests:
            raise UserError(
                f"{folder / name} is damaged: it is not as it was written ({SUMS})",
                f"Restore it from a copy, or make it anew; if you changed it yourself, remove {folder / SUMS}",
            )


def check_tokens(name: str, tokenizer: Any, config: Any, template: Template) -> None:
    """Every token that this framework, or the template, writes of itself has a row in the embeddings.

    Raises:
        UserError: one has not.
    """
    rows = getattr(config.get_text_config(), "vocab_size", None)
    tokens = [(f"{kind} token", getattr(tokenizer, f"{kind}_token_id")) for kind in ("pad", "eos", "bos")]
    tokens += [("template's token", number) for part in template.encode(tokenizer, "x", "x") for number in part]
    for kind, number in tokens:
        if rows is not None and number is not None and number >= rows:
            token = tokenizer.convert_ids_to_tokens(number)
            raise UserError(
                f"The {kind} '{token}' of model '{name}' has the id {number}; its embeddings have {rows} rows",
                "Take the tokenizer that the weights were trained with, or resize the embeddings"
                " (resize_token_embeddings) and save both again",
            )


def lineage(
    network: Any, lora: dict[str, Any] | None, source: str = "", reload: Any = None, own_base: bool = True
) -> Lineage:
    """The lineage of a network that was just loaded, or made; see `Lineage` and `AdapterLineage` for the rest."""
    if lora is None:
        return WholeLineage(network, source, reload)
    return AdapterLineage(network, source, reload, lora, own_base)


def network(
    name: str,
    source: str,
    stored: torch.dtype,
    computed_in: torch.dtype | None = None,
    attention: str = AUTO,
    quantise: Quantise = None,
) -> Any:
    """The weights in a folder or of a hub id, on this process's device, ready for packed rows.

    An adapter's folder gives its base with the adapter merged into it, or over it where the base is quantised.

    Raises:
        UserError: no weights, weights that lack a tensor, or an architecture that does not pack.
    """
    base = base_of(source)
    with told(name, base):
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
        more: dict[str, Any] = {"quantization_config": nf4(computed_in or stored)} if quantise else {}
        quantised = bool(quantise) or getattr(config, "quantization_config", None) is not None
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else None
        if quantised and device:
            more["device_map"] = {"": device}  # rounded there, tensor by tensor
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                base,
                dtype=stored if base == source or quantised else torch.float32,
                attn_implementation="eager" if softcaps(config) else "sdpa",
                output_loading_info=True,
                trust_remote_code=False,
                **more,
            )
            model, found = loaded
        except ValueError as error:
            if "attention implementation" not in str(error):
                raise
            raise UserError(
                f"Model '{name}' ('{base}'): transformers has no scaled_dot_product_attention for its architecture,"
                " and packed rows need it",
                "Take another model; most of the last years' have it",
            ) from error
    unread = sorted(found["unexpected_keys"])
    check_scales(base, unread)
    if missing := sorted(found["missing_keys"]):
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        made = (getattr(model.config, "architectures", None) or [type(model).__name__])[0]
        saved = "" if made == type(model).__name__ else f" (config.json says {made})"
        raise UserError(
            f"The weights in '{base}'{saved} have no '{missing[0]}'{others}; random numbers would stand there",
            "Save the whole model again with save_pretrained, and give that folder with model.path=",
        )
    if unread:
        _left_out(base, len(unread), unread[0])
    end_tokens(model)
    if base != source:
        with told(name, source):
            over = _with_adapter(model, source)
            model = over if quantised else merged(over, keep=True).to(stored)
    if device and not quantised:  # transformers has put these there
        model.to(device)
    own = bare(model)
    use_packed_attention(own, attention)
    check_packing(own)
    if device and computed_in not in (None, own.dtype):  # other kernels
        with computing(own.device, computed_in):
            check_packing(own)
    return model.eval()


def _with_adapter(model: Any, source: str) -> PeftModel:
    """The adapter's folder over its base.

    Raises:
        UserError: its file and its config are not of the same tensors, so that a part would be left as it is; or they
            are no numbers.
    """
    over = PeftModel.from_pretrained(model, source)
    found = over.load_adapter(source, over.active_adapter)  # again, for what it says of them
    for lacks, names in (("lack", found.missing_keys), ("have beside those of its config", found.unexpected_keys)):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(
                f"The weights of the adapter in '{source}' {lacks} '{sorted(names)[0]}'{others}",
                "Save the adapter again with save_pretrained from the model that was trained, and give that folder",
            )
    if name := odd_weight(over, of_adapter):
        raise UserError(
            f"The weights of the adapter in '{source}' are no numbers (NaN or infinite), first in '{name}'",
            "Save the adapter again from a training that has not diverged, or fetch it again",
        )
    return over


@cache
def _left_out(source: str, count: int, first: str) -> None:
    """Said once a process, for a run loads its model several times."""
    notice(f"Not read of '{source}': {count} tensors that its config.json has no place for, such as '{first}'")
