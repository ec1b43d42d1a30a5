"""What is read of a packed row is what hooks see on each example alone; an early end computes no more and changes no
gradient."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit.errors import UserError
from unlearnkit.losses.projected import Projected, whole
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.packing import pack
from unlearnkit.models.reading import (
    Pass,
    Wanted,
    ends_with_head,
    layers_of,
    number_of,
    reached,
    read,
    said_to_end_with_head,
)

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
STATES = Wanted(logits=False, layers=frozenset({1}))


def made(kind, lora=False):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **CONFIGS[kind])).eval()
    use_packed_attention(model)
    if lora:
        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    return model


def hooked(model, example, layer):
    """(T, d) that a hook sees behind a layer, of one example alone, unpacked."""
    seen = []

    def keep(module, args, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    prompt, response = example
    hook = layers_of(model)[layer].register_forward_hook(keep)
    with torch.no_grad():
        model(input_ids=torch.tensor([[*prompt, *response]]))
    hook.remove()
    return seen[0].reshape(len(prompt) + len(response), -1)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("wanted", [STATES, Wanted(True, frozenset({1, 0.99}))], ids=["ended", "whole"])
def test_states_are_those_of_hooks_on_each_example_alone(kind, wanted):
    model, row = made(kind), pack(EXAMPLES)
    with torch.no_grad():
        found = read(model, row, wanted)
    for layer in {number_of(layer, 4) for layer in wanted.layers}:
        for stream, examples in EXAMPLES.items():
            alone = [hooked(model, example, layer) for example in examples]
            places, sizes = row.every(stream)
            expected = [states[:-1] for states in alone]  # the last token is no input of a packed row
            assert sizes == [len(states) for states in expected]
            torch.testing.assert_close(found.states[layer][places], torch.cat(expected), atol=1e-5, rtol=1e-4)
            at = [states[len(prompt) - 1 : -1] for states, (prompt, _) in zip(alone, examples, strict=True)]
            keep = row.keep[row.streams[stream]]
            torch.testing.assert_close(found.states[layer][keep], torch.cat(at), atol=1e-5, rtol=1e-4)


def counted(model):
    calls = []
    for number, layer in enumerate(layers_of(model)):
        layer.register_forward_pre_hook(lambda module, args, number=number: calls.append(number))
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda module, args, output: calls.append(("head", output.shape[-2])))
    return calls


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(("layer", "last"), [(0, 0), (2, 2), (0.3, 1), (0.99, 3)])
def test_no_later_layer_is_computed_and_the_head_nowhere(kind, layer, last):
    model = made(kind)
    calls, layers = counted(model), layers_of(model)
    found = read(model, pack(EXAMPLES), Wanted(False, frozenset({layer})))
    assert calls == [*range(last + 1), ("head", 0)] and found.logits is None and list(found.states) == [last]
    assert layers_of(model) is layers and len(layers) == 4
    calls.clear()
    read(model, pack(EXAMPLES), Wanted())
    assert calls == [0, 1, 2, 3, ("head", len(pack(EXAMPLES).keep))]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("checkpointing", [None, False, True], ids=["", "checkpointed", "reentrant"])
def test_an_early_end_changes_no_gradient(kind, lora, checkpointing):
    gradients = []
    for wanted in (STATES, Wanted(True, frozenset({1}))):
        model = made(kind, lora).train()
        for part in model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        if checkpointing is not None:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": checkpointing})
            model.enable_input_require_grads()
        read(model, pack(EXAMPLES), wanted).state(1).square().mean().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=0, rtol=0)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_what_is_reached_is_what_gets_a_gradient(kind, lora):
    model = made(kind, lora)
    ids = {id(weight) for weight in reached(model, STATES)}
    read(model, pack(EXAMPLES), STATES).state(1).square().mean().backward()
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert {n for n, w in trained.items() if w.grad is not None} == {n for n, w in trained.items() if id(w) in ids}
    assert len(ids) < len(list(model.parameters())) == len(list(reached(model, Wanted())))


def test_an_error_in_a_pass_leaves_the_layers_as_they_were():
    model = made("llama")
    layers = layers_of(model)
    layers[1].register_forward_pre_hook(lambda module, args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read(model, pack(EXAMPLES), STATES)
    assert model.model.layers is layers


def test_a_share_of_the_depth_stands_for_the_nearest_layer():
    assert [number_of(share, 32) for share in (0.16, 0.19, 0.22)] == [5, 6, 7]  # the paper's, of zephyr-7b
    assert [number_of(share, 30) for share in (0.001, 0.22, 0.5, 0.999)] == [0, 7, 15, 29]
    assert [number_of(share, 2) for share in (0.22, 0.25, 0.9)] == [0, 1, 1] and number_of(29, 30) == 29
    assert Pass(4, states={1: "x"}).state(0.3) == "x"


@pytest.mark.parametrize("layer", [30, -1, 99])
def test_a_layer_that_the_model_does_not_have(layer):
    with pytest.raises(UserError, match=f"no layer {layer}: it has 30, 0 to 29"):
        number_of(layer, 30)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.2])
def test_no_share(share):
    with pytest.raises(UserError, match="is no share of the depth"):
        number_of(share, 30)


def test_layers_that_cannot_be_told():
    model = made("granite")
    model.more = torch.nn.ModuleList(torch.nn.Identity() for _ in range(4))
    with pytest.raises(UserError, match="Where architecture 'granite' keeps its layers is not known"):
        layers_of(model)


BEHIND = {
    "granite": {**CONFIGS["granite"], "logits_scaling": 7.0},
    "cohere": {**CONFIGS["llama"], "logit_scale": 0.3},
    "gemma2": {**CONFIGS["gemma3_text"], "final_logit_softcapping": 30.0, "attn_logit_softcapping": None},
}


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind != "granite"])
def test_logits_that_do_not_stand(kind, lora):
    model, row = made(kind, lora), pack(EXAMPLES)
    assert ends_with_head(model) and said_to_end_with_head(model.config)
    places = len(row.labels)
    for standing, projected in ((places * 259, False), (places * 259 - 1, True), (None, False)):
        logits = read(model, row, Wanted(), standing=standing).logits
        assert isinstance(logits, Projected) is projected and logits.shape == (places, 259)
        torch.testing.assert_close(whole(logits), read(model, row, Wanted()).logits)


@pytest.mark.parametrize("kind", BEHIND)
def test_a_scale_may_stand_behind_the_head_and_a_cap_may_not(kind):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **BEHIND[kind])).eval()
    use_packed_attention(model)
    row = pack(EXAMPLES)
    assert ends_with_head(model) is said_to_end_with_head(model.config) is (kind != "gemma2")
    assert "forward" not in vars(model.get_output_embeddings())
    if kind != "gemma2":
        logits = read(model, row, Wanted(), standing=0).logits
        torch.testing.assert_close(whole(logits), read(model, row, Wanted()).logits)
