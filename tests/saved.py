"""Tiny models and adapters of many kinds, saved and made portable: what older stacks are to read."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Tokenizer, LlamaTokenizer, Qwen2Tokenizer

from unlearnkit.models import tiny
from unlearnkit.models.saving import make_portable

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LONG = {
    "rope_type": "longrope", "rope_theta": 50000.0, "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0] * 4,
}  # fmt: skip

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# Name -> architecture and what differs from tiny.config.
MODELS = {
    "llama": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}}),
    "llama-llama3": ("llama", {"rope_parameters": LLAMA3}),
    "llama-linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 50000.0, "factor": 4.0}}),
    "qwen2": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}),
    "qwen2-yarn": (
        "qwen2",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 50000.0, "factor": 4.0,
                             "original_max_position_embeddings": 1024}},
    ),
    "olmo": ("olmo", {"rope_parameters": {"rope_type": "linear", "rope_theta": 50000.0, "factor": 4.0}}),
    "olmo2": ("olmo2", {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}),
    "gpt2": ("gpt2", {}),
    "opt": ("opt", {}),
    "gpt_neox": (
        "gpt_neox",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 50000.0, "partial_rotary_factor": 0.5}},
    ),
    "mistral": ("mistral", {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}),
    "phi3": ("phi3", {"rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}}),
    "phi3-longrope": ("phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 64}),
    "qwen3": ("qwen3", {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}, "head_dim": 8}),
    "cohere2": ("cohere2", {"rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}, "sliding_window": 32}),
    "gemma3_text": (
        "gemma3_text",
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "rope_theta": 500000.0, "factor": 8.0},
                             "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0}},
         "sliding_window": 32, "head_dim": 8},
    ),
    "olmo3": (
        "olmo3",
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "rope_theta": 50000.0, "factor": 4.0},
                             "sliding_attention": {"rope_type": "default", "rope_theta": 50000.0}},
         "sliding_window": 32},
    ),
}  # fmt: skip

# Name -> LoRA settings; EMBEDDING, QUERY and HEAD stand for the architecture's own names.
ADAPTERS = {
    "linear": {"target_modules": "all-linear"},
    "head-saved": {"target_modules": "all-linear", "modules_to_save": ["HEAD"]},
    "embedding-saved": {"target_modules": "all-linear", "modules_to_save": ["EMBEDDING", "HEAD"]},
    "bias": {"target_modules": "all-linear", "bias": "all"},
    "patterns": {
        "target_modules": "all-linear",
        "rank_pattern": {r"^.*\.0\..*": 2},
        "alpha_pattern": {r"nothing|.*\.1\..*": 32},
    },
    "named-rank": {"target_modules": "all-linear", "rank_pattern": {"QUERY": 3}, "alpha_pattern": {"QUERY": 7}},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "embedding": {"target_modules": ["EMBEDDING", "QUERY"]},
    "rslora": {"target_modules": "all-linear", "use_rslora": True},
    "excluded": {"target_modules": "all-linear", "exclude_modules": ["QUERY"]},
    "one-layer": {"target_modules": ["QUERY"], "layers_to_transform": [1], "lora_dropout": 0.1},
}
NAMES = {
    "gpt2": {"EMBEDDING": "wte", "QUERY": "c_attn"},
    "gpt_neox": {"EMBEDDING": "embed_in", "QUERY": "query_key_value"},
    "phi3": {"QUERY": "qkv_proj"},
}


def model(name: str):
    """Random weights that are large enough for positions to matter."""
    architecture, changes = MODELS[name]
    held = tiny.config(architecture if architecture in ("gpt2", "opt", "gpt_neox") else "llama").to_dict()
    wide = {"init_std": 0.2} if architecture == "opt" else {"initializer_range": 0.2}
    for key in ("rope_parameters", "architectures", "model_type", "head_dim"):
        held.pop(key, None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **held | wide | changes))


def write_model(folder: Path, name: str) -> Path:
    model(name).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    make_portable(folder)
    return folder


def lora(name: str, kind: str) -> dict:
    """The settings of `ADAPTERS` with an architecture's own names."""
    names = {"EMBEDDING": "embed_tokens", "QUERY": "q_proj", "HEAD": "lm_head", **NAMES.get(MODELS[name][0], {})}

    def own(value):
        if isinstance(value, list):
            return [own(part) for part in value]
        if isinstance(value, dict):
            return {own(key): part for key, part in value.items()}
        return names.get(value, value) if isinstance(value, str) else value

    return {
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
        **{key: own(value) for key, value in ADAPTERS[kind].items()},
    }


def adapted(base: Path, name: str, kind: str):
    """A model with an adapter of random values that matter."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**lora(name, kind)))
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return made.eval()


def write_adapter(folder: Path, base: Path, name: str, kind: str) -> Path:
    adapted(base, name, kind).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    make_portable(folder, str(base))
    return folder


def tokenizers() -> dict:
    """Tokenizers of the classes that models bring, with a chat template, by the class's name."""
    alphabet = sorted(ByteLevel.alphabet())
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = {token: number for number, token in enumerate(marks + alphabet)}
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "e", "th", "t", "h"]
    made = {
        "GPT2Tokenizer": GPT2Tokenizer(vocab=letters, merges=[]),
        "Qwen2Tokenizer": Qwen2Tokenizer(vocab=letters, merges=[], extra_special_tokens=marks[1:]),
        "LlamaTokenizer": LlamaTokenizer(
            vocab={token: number for number, token in enumerate(pieces)}, merges=[("t", "h")], add_bos_token=True
        ),
    }
    for one in made.values():
        one.chat_template = CHATML
    return made


def write_tokenizer(folder: Path, kind: str) -> Path:
    """A llama with a tokenizer of `tokenizers`."""
    made = model("llama")
    made.resize_token_embeddings(320)
    made.save_pretrained(folder)
    tokenizers()[kind].save_pretrained(folder)
    make_portable(folder)
    return folder
