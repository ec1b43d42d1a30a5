"""Which architectures may be trained in packed rows: told by a check that is longer than their windows."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit.errors import UserError
from unlearnkit.models import admission, load_source
from unlearnkit.models.admission import check_packing, packing_error, windows
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.templates import Template
from unlearnkit.models.tiny import tokenizer

SIZES = {
    "vocab_size": 259,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOWED = {
    "mistral": {},
    "phi3": {},
    "ministral": {"head_dim": 8},
    "starcoder2": {},
    "mixtral": {"num_local_experts": 2},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {"use_sliding_window": True, "max_window_layers": 1, "head_dim": 8},
    "gemma3_text": {"num_hidden_layers": 6, "head_dim": 8},
    "olmo3": {"num_hidden_layers": 4},
    "cohere2": {"num_hidden_layers": 4},
    "exaone4": {"num_hidden_layers": 4},
}
PLAIN = ["cohere", "gemma", "granite", "olmo2", "persimmon", "phi", "smollm3"]


def made(kind, **more):
    config = AutoConfig.for_model(kind, **{"num_hidden_layers": 2, **SIZES, **more})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    use_packed_attention(model)
    return model


@pytest.fixture(autouse=True)
def nothing_passed_yet(monkeypatch):
    monkeypatch.setattr(admission, "_passed", set())


@pytest.mark.parametrize("kind", WINDOWED)
def test_a_windowed_architecture_sees_what_its_window_lets_it(kind):
    model = made(kind, sliding_window=16, **WINDOWED[kind])
    assert 16 in windows(model.config)
    assert packing_error(model) < 2e-6
    check_packing(model)


@pytest.mark.parametrize("kind", WINDOWED)
def test_the_check_is_longer_than_the_window(kind):
    """Without the window the check must see it; else it would admit what it cannot tell."""
    model = made(kind, sliding_window=16, **WINDOWED[kind])
    for module in model.modules():
        if getattr(module, "sliding_window", None):
            module.sliding_window = None
    if kind in ("mistral", "ministral", "phi3", "starcoder2", "mixtral"):  # these read the config at each call
        original, model.config.sliding_window = model.config.sliding_window, None
        packed = error_of_packing_without(model, original)
    else:
        packed = packing_error(model)
    assert packed > 1e-2


def error_of_packing_without(model, window):
    """The error with the window in the plain pass alone."""
    forward = model.forward

    def switched(**inputs):
        model.config.sliding_window = None if "layout" in inputs else window
        return forward(**inputs)

    model.forward, model.config.sliding_window = switched, window
    return packing_error(model)


@pytest.mark.parametrize("kind", PLAIN)
def test_others_pass_without_being_named(kind):
    assert packing_error(made(kind)) < 2e-6


@pytest.mark.parametrize(
    ("kind", "more", "why"),
    [
        ("llama4_text", {"attention_chunk_size": 16, "head_dim": 8, "intermediate_size_mlp": 64}, "logits differ by"),
        ("falcon", {}, "logits differ by"),
        ("stablelm", {}, "logits differ by"),
        ("recurrent_gemma", {}, "logits differ by"),
    ],
)
def test_what_is_not_the_same_is_refused(kind, more, why):
    with pytest.raises(UserError, match=f"'{kind}' cannot be trained in packed rows: .*{why}"):
        check_packing(made(kind, **more))


@pytest.mark.parametrize("kind", ["gpt_neo", "bloom"])
def test_an_architecture_without_sdpa_is_told_so(kind, tmp_path):
    sizes = {"attention_types": [[["global", "local"], 1]], "num_layers": 2} if kind == "gpt_neo" else {}
    AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **{"num_hidden_layers": 2, **SIZES, **sizes}), attn_implementation="eager"
    ).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no scaled_dot_product_attention") as caught:
        load_source("own", str(tmp_path), "float32", None, Template())
    assert "own" in caught.value.what


def test_sinks_are_refused(monkeypatch):
    model = made("gemma", head_dim=8)
    attention = type(model.model.layers[0].self_attn)
    forward = attention.forward
    monkeypatch.setattr(attention, "forward", lambda self, *a, **k: forward(self, *a, s_aux=torch.zeros(4), **k))
    with pytest.raises(UserError, match="'gemma' cannot be trained in packed rows: it has attention sinks"):
        check_packing(model)


def test_nan_is_refused():
    model = made("llama")
    torch.nn.init.constant_(model.model.norm.weight, torch.nan)
    with pytest.raises(UserError, match="are no numbers .*, first in .model.norm.weight."):
        check_packing(model)


def test_a_model_that_mixes_examples_is_refused():
    model = made("llama")
    forward = model.forward
    # An architecture that ignores the layout: its packed examples see one another.
    model.forward = lambda **inputs: forward(
        **{k: v for k, v in inputs.items() if k in ("input_ids", "logits_to_keep")}
    )
    with pytest.raises(UserError, match="'llama' cannot be trained in packed rows"):
        check_packing(model)


def test_a_config_is_checked_once(monkeypatch):
    seen = []
    monkeypatch.setattr(admission, "_refusal", lambda model: seen.append(model) or "")
    for _ in range(2):
        check_packing(made("llama"))
    check_packing(made("mistral"))
    assert len(seen) == 2


def test_windows_of_a_config():
    assert windows(AutoConfig.for_model("mistral", sliding_window=4096)) == [4096]
    assert windows(AutoConfig.for_model("mistral", sliding_window=None)) == []
    assert windows(AutoConfig.for_model("llama")) == []
