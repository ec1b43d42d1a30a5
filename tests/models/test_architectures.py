"""Every causal architecture that transformers offers with sdpa: packed is separate, or the model is refused.

Random tiny configs: windows, layer types, chunks and kinds of rope are drawn where the architecture has them.
"""

import random
import signal

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from unlearnkit.errors import UserError
from unlearnkit.models import admission
from unlearnkit.models.admission import check_packing
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.packing import pack

CARRIED = [
    *("llama", "mistral", "phi3", "qwen2", "qwen3", "gemma3_text", "olmo3", "cohere2", "starcoder2", "exaone4"),
    *("ministral", "mixtral", "smollm3", "qwen3_moe", "gpt2", "opt", "gpt_neox", "olmo2", "granite", "glm4"),
]
SAMPLE = ["mistral", "gemma3_text", "qwen2", "olmo3", "lfm2", "llama4_text", "qwen3_next", "stablelm"]
SMALL = {
    # widths and depths, under the names that configs give them
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "lru_width"), 32),
    **dict.fromkeys(
        ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "intermediate_size_mlp", "mlp_hidden_size"), 64
    ),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads", "attention_heads"), 4),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "decoder_layers"), 4),
    **dict.fromkeys(("head_dim", "d_kv", "rotary_dim", "kv_lora_rank", "q_lora_rank", "v_head_dim"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 16),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace", "max_window_layers"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 512),
    **{"vocab_size": 259, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_key_value_heads": 2},
    "use_sliding_window": True,
}
LAYERS = {"lfm2": ["conv", "full_attention"]}  # where the default config does not show all kinds of layers
WINDOWS = ("sliding_window", "sliding_window_size", "attention_chunk_size", "attention_window_size", "window_size")
ROPES = [
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
    {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 128},
    {
        "rope_type": "llama3",
        "rope_theta": 1e4,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
]


def drawn(kind, seed):
    """A tiny random model of the architecture, and its windows; skips what cannot be made so small, or has no sdpa."""
    choose = random.Random(f"{kind} {seed}")
    try:
        known = AutoConfig.for_model(kind)
        text = known.get_text_config()
    except Exception as error:
        pytest.skip(f"cannot be made: {str(error)[:80]}")
    if text is not known:
        pytest.skip("a model of text and images")
    names = known.to_dict()
    settings = {name: value for name, value in SMALL.items() if name in names}
    for name in WINDOWS:
        if name in names:
            settings[name] = choose.choice([5, 8, 16, 27])
    if choose.random() < 0.5:
        settings["num_key_value_heads"] = 4
    if isinstance(names.get("rope_parameters"), dict) and "rope_type" in names["rope_parameters"]:
        settings["rope_parameters"] = dict(choose.choice(ROPES))
    if kinds := LAYERS.get(kind) or sorted(set(names.get("layer_types") or ())):
        settings["layer_types"] = [*kinds, *choose.choices(kinds, k=4)][: settings.get("num_hidden_layers", 4)]
        choose.shuffle(settings["layer_types"])
    if "kv_lora_rank" in settings:  # latent attention has one key a head
        settings["num_key_value_heads"] = 4
    try:
        config = AutoConfig.for_model(kind, **settings)
        with torch.device("meta"):
            size = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    except Exception as error:
        pytest.skip(f"cannot be made: {str(error)[:80]}")
    if size > 3e7:
        pytest.skip(f"{size:.0e} weights")
    torch.manual_seed(seed)
    try:
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    except ValueError as error:
        assert "attention implementation" in str(error)  # which loading says in two lines
        pytest.skip("no sdpa")
    use_packed_attention(model)
    return model.eval()


@torch.no_grad()
def difference(model, seed):
    """Of examples longer than any window, drawn anew: packed with shared prompts against each alone."""
    draw = random.Random(seed)
    tokens = lambda length: tuple(draw.randrange(3, 259) for _ in range(length))  # noqa: E731
    shared = tokens(40)
    examples = [(shared, tokens(33)), (tokens(61), tokens(9)), (shared, tokens(4)), (tokens(3), tokens(70))]
    packed = model(**pack({"forget": examples}).inputs()).logits[0]
    alone = [
        model(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0, len(prompt) - 1 : -1]
        for prompt, answer in examples
    ]
    expected = torch.cat(alone)
    return float((packed - expected).abs().max() / expected.abs().max())


def told(kind, seed, monkeypatch):
    """None where packed is separate to 1e-5, else the two lines; whatever else comes fails the test."""
    monkeypatch.setattr(admission, "_passed", set())
    transformers.logging.set_verbosity_error()
    signal.signal(signal.SIGALRM, lambda *_: pytest.skip("slower than a minute"))
    signal.alarm(60)
    try:
        model = drawn(kind, seed)
        try:
            check_packing(model)
        except UserError as refused:
            assert f"'{model.config.model_type}' cannot be trained in packed rows" in refused.what
            assert "\n" not in refused.what and refused.fix
            return refused.what
        assert difference(model.double(), seed) < 1e-5  # what an architecture keeps in fp32 stays so
        return None
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("kind", SAMPLE)
def test_packed_is_separate_or_refused(kind, monkeypatch):
    assert (told(kind, 0, monkeypatch) is None) == (kind in CARRIED)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
def test_every_architecture(kind, seed, monkeypatch, record_property):
    came = told(kind, seed, monkeypatch)
    record_property("refused", came or "")
    assert came is None or kind not in CARRIED, came
