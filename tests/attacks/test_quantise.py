"""The merged model in a few bits: what changed less than a step of the rounding comes back, and more does not."""

import dataclasses

import pytest
import torch
from attacked import bound, logits, trained

from unlearnkit.attacks import Quantise, Scene
from unlearnkit.attacks.quantise import WAYS
from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError

IDS = torch.arange(3, 27)[None]


@pytest.fixture(params=WAYS)
def way(request):
    """Of those whose package is here."""
    if not WAYS[request.param].installed():
        pytest.skip(f"{WAYS[request.param].package} is not installed")
    return request.param


def knows(model):
    """The mean log-probability of a text's tokens."""
    with model.current() as network, torch.inference_mode():
        return -float(network(IDS, labels=IDS).loss)


def descend(network, rate, where=""):
    """One step of every weight by the sign of its gradient; up, where the rate is below zero."""
    loss = network(IDS, labels=IDS).loss
    weights = [weight for name, weight in network.named_parameters() if where in name]
    with torch.no_grad():
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.add_(gradient.sign(), alpha=-rate)


@torch.no_grad()
def put_on_grid(model, attack):
    """Its linear layers as the attack rounds them, read through their products with the unit vectors."""
    with attack.on(model) as rounded:
        for name, layer in rounded.model.model.named_modules():
            if hasattr(layer, "in_features"):
                own = model.model.model.get_submodule(name)
                own.weight.copy_(layer(torch.eye(layer.in_features)).T)


@pytest.mark.parametrize("bits", [4, 8])
def test_unlearning_smaller_than_a_step_of_the_rounding_is_brought_back_and_larger_is_not(way, bits, full_model):
    model, attack = full_model, bound(Quantise(bits, way))
    network = model.model.requires_grad_(True)
    for _ in range(60):
        descend(network, 0.002)
    put_on_grid(model, attack)
    start = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    knew = knows(model)
    step = float(start["model.layers.0.mlp.up_proj.weight"].abs().max()) / 2 ** (bits - 1)
    recovered = []
    for steps, rate in ((1, 0.1 * step), (3, 3 * step)):
        network.load_state_dict(start, strict=False)
        for _ in range(steps):
            descend(network, -rate, "_proj")  # these alone are rounded
        gone = knows(model)
        with attack.on(model) as rounded:
            assert rounded.model.is_quantized
            recovered.append((knows(rounded) - gone) / (knew - gone))
        assert knew > gone == knows(model)
    small, large = recovered
    assert small > 0.5 and large < 0.2


def test_the_model_with_its_adapter_is_rounded_and_stays(way, tiny_model):
    model = trained(tiny_model)
    own, start = logits(model), logits(model, "start")
    with bound(Quantise(8, way)).on(model) as rounded:
        assert (logits(rounded) - own).norm() < 0.2 * (own - start).norm()
        assert torch.equal(logits(rounded, "start"), start)
    assert torch.equal(logits(model), own)


def test_the_way_that_was_taken_is_told(way):
    attack = bound(Quantise(4, way))
    assert attack.details["config"] == way and WAYS[way].package in attack.details


def test_what_is_rounded_already_is_refused(way):
    with pytest.raises(UserError, match="weights of the start model are quantised, so that none can be quantised by"):
        Quantise(4, way).bind("it", Scene(Data("none", {}, {}), models={"the start model": {"quantization_config": 1}}))


def test_an_unknown_way_is_refused():
    with pytest.raises(UserError, match="config=Bits is none of BitsAndBytesConfig"):
        bound(Quantise(4, "Bits"))


def test_arguments_that_a_way_has_not_are_refused(way):
    with pytest.raises(UserError, match="attacks.it.arguments: "):
        bound(Quantise(4, way, {"weights": "int5", "load_in_4bit": "so", "quant_type": "int5"}))


@pytest.mark.parametrize("config", [*WAYS, None])
def test_what_is_not_installed_is_said_before_a_model_is_loaded(config, monkeypatch):
    nowhere = {name: dataclasses.replace(way, installed=lambda: False) for name, way in WAYS.items()}
    monkeypatch.setattr("unlearnkit.attacks.quantise.WAYS", nowhere)
    packages = WAYS[config].package if config else "bitsandbytes or optimum-quanto or torchao"
    with pytest.raises(UserError, match=f"needs {packages}: not installed") as caught:
        bound(Quantise(8, config))
    assert (WAYS[config].package if config else "optimum-quanto, or on a GPU bitsandbytes") in caught.value.fix
