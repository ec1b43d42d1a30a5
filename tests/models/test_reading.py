"""What is read of a packed row is what hooks see on each example alone; an early end computes no more and changes no
gradient."""

import pytest
import torch
from small_networks import CONFIGS, EXAMPLES, made

from unlearnkit.errors import UserError
from unlearnkit.models.packing import pack
from unlearnkit.models.reading import (
    Outputs,
    Pass,
    layers_of,
    number_of,
    reached,
    read,
)

STATES = Outputs(logits=False, layers=frozenset({1}))


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
@pytest.mark.parametrize("wanted", [STATES, Outputs(True, frozenset({1, 0.99}))], ids=["ended", "whole"])
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
    found = read(model, pack(EXAMPLES), Outputs(False, frozenset({layer})))
    assert calls == [*range(last + 1), ("head", 0)] and found.logits is None and list(found.states) == [last]
    assert layers_of(model) is layers and len(layers) == 4
    calls.clear()
    read(model, pack(EXAMPLES), Outputs())
    assert calls == [0, 1, 2, 3, ("head", len(pack(EXAMPLES).keep))]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("checkpointing", [None, False, True], ids=["", "checkpointed", "reentrant"])
def test_an_early_end_changes_no_gradient(kind, lora, checkpointing):
    gradients = []
    for wanted in (STATES, Outputs(True, frozenset({1}))):
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
    assert len(ids) < len(list(model.parameters())) == len(list(reached(model, Outputs())))


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
