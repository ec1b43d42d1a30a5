"""A tiny model with random weights and a byte tokenizer made in code: every path of a run in seconds."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from unlearnkit.cache import load_or_make
from unlearnkit.errors import UserError, nearest
from unlearnkit.models.attention import Way
from unlearnkit.models.loading import LanguageModel, load_source
from unlearnkit.models.lora import Lora
from unlearnkit.models.precision import Dtype
from unlearnkit.models.quantised import Quantise
from unlearnkit.models.saving import make_portable
from unlearnkit.models.templates import Template
from unlearnkit.settings.bounds import Name

CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, with <s>, </s> and <pad>, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=1024
    )
    made.chat_template = CHAT
    return made


def config(architecture: str) -> Any:
    """The smallest sensible config of a transformers architecture.

    Raises:
        UserError: it is no causal language model's.
    """
    sizes: dict[str, Any] = {"vocab_size": 259, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if architecture == "gpt2":
        return AutoConfig.for_model("gpt2", n_embd=32, n_layer=2, n_head=4, n_positions=1024, **sizes)
    sizes |= {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 1024,
    }
    if architecture == "opt":
        return AutoConfig.for_model("opt", ffn_dim=64, word_embed_proj_dim=32, **sizes)
    if architecture != "gpt_neox":
        sizes["num_key_value_heads"] = 2
    if architecture in ("mistral", "phi3", "gemma2"):
        sizes["sliding_window"] = 16  # shorter than most questions
    if architecture in ("qwen3", "gemma2", "gemma3_text"):
        sizes["head_dim"] = 8  # theirs is no share of the width
    if architecture not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"model.architecture={architecture} is no causal language model of transformers."
            f"{nearest(architecture, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)}",
            "Set model.architecture= to one that packs: llama, opt, qwen2, olmo, gpt2, gpt_neox, ...",
        )
    return AutoConfig.for_model(architecture, intermediate_size=64, **sizes)


def write(folder: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """Weights drawn from `seed` and the tokenizer, as `save_pretrained` writes them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config(architecture))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    make_portable(folder)
    return folder


def load(
    name: Name = "tiny",
    architecture: str = "llama",
    lora: Lora = None,
    template: Template | None = None,
    dtype: Dtype = "float32",
    attention: Way = "auto",
    quantise: Quantise = None,
) -> LanguageModel:
    """The tiny model of an architecture, made once into the cache."""
    made = {"architecture": architecture, "config": config(architecture).to_dict(), "chat": CHAT}
    content = {**made, "versions": {library: version(library) for library in ("torch", "transformers", "tokenizers")}}
    called = f"tiny-{architecture}"
    folder = load_or_make(
        "models", content, lambda entry: write(entry / called, architecture), lambda entry: entry / called
    )
    return load_source(name, str(folder), dtype, lora, template or Template(), attention, quantise)
