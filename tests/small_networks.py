"""Random networks of several architectures, four layers each, and examples that share a prompt."""

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit.models.attention import use_packed_attention

SIZES = {"vocab_size": 259, "num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 32}
CONFIGS = {
    "llama": {**SIZES, "intermediate_size": 64, "num_key_value_heads": 2},
    "qwen2": {**SIZES, "intermediate_size": 64, "num_key_value_heads": 2},
    "gemma3_text": {
        **SIZES,
        "intermediate_size": 64,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 5,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        "pad_token_id": 0,
    },
    "gpt2": {"vocab_size": 259, "n_layer": 4, "n_head": 4, "n_embd": 32},
    "gpt_neox": {**SIZES, "intermediate_size": 64},
    "granite": {**SIZES, "intermediate_size": 64, "num_key_value_heads": 2},  # not in anatomy.PLACES
}
PROMPT = tuple(range(20, 32))
EXAMPLES = {
    "forget": [(PROMPT, (40, 41, 42)), (PROMPT, (50, 51, 52, 53, 54)), ((60, 61), (62,))],
    "retain": [((1,), tuple(range(70, 79))), (PROMPT, (40, 41, 42))],
}


def made(kind, lora=False):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **CONFIGS[kind])).eval()
    use_packed_attention(model)
    if lora:
        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    return model
