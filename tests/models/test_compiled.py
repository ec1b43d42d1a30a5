"""Compiled layers compute what the others do, for rows of several lengths, and only while they are asked to."""

import shutil

import pytest
import torch
from small_networks import EXAMPLES, made

from unlearnkit.models import compiled
from unlearnkit.models.compiled import compiled_layers
from unlearnkit.models.packing import pack
from unlearnkit.models.reading import layers_of

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles C++ on a CPU (apt-get install g++)")
SHORT = {"forget": [((1, 2), (3, 4, 5, 6))]}


def loss_and_gradients(network, examples):
    row = pack(examples)
    logits = network(**row.inputs()).logits[0]
    network.zero_grad()
    loss = torch.nn.functional.cross_entropy(logits, row.labels)
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}
    return loss.detach(), gradients


@pytest.mark.parametrize(
    ("kind", "lora", "backend"),
    [
        ("llama", True, "inductor"),
        ("gpt_neox", False, "aot_eager"),  # the same graphs, not made into C++
        ("gemma3_text", False, "aot_eager"),
    ],
)
def test_the_losses_and_gradients_of_layers_that_are_not_compiled(kind, lora, backend, monkeypatch):
    programs = []
    compile_of_torch = torch.compile
    counted = lambda *a, **k: programs.append(a) or compile_of_torch(*a, **k, backend=backend)  # noqa: E731
    monkeypatch.setattr(torch, "compile", counted)
    compiled._compiled.cache_clear()
    torch._dynamo.utils.counters.clear()
    network = made(kind, lora).train()
    expected = [loss_and_gradients(network, examples) for examples in (EXAMPLES, SHORT)]
    with compiled_layers(network):
        found = [loss_and_gradients(network, examples) for examples in (EXAMPLES, SHORT)]
    compiled._compiled.cache_clear()
    for (loss, gradients), (own, grown) in zip(expected, found, strict=True):
        torch.testing.assert_close(own, loss, rtol=1e-5, atol=1e-6)
        assert grown.keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(grown[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert len(programs) == 1  # for all four layers
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert all("forward" not in vars(layer) for layer in layers_of(network))


def test_a_layer_that_had_a_forward_of_its_own_has_it_again():
    network = made("llama")
    layer = layers_of(network)[1]
    own = layer.forward
    layer.forward = own
    with compiled_layers(network):
        assert layer.forward != own
    assert layer.forward is own
