"""A tiny model that has learnt something, and what it says, for the tests of attacks."""

import torch

from unlearnkit.attacks import Scene
from unlearnkit.data.examples import Data

SCENE = Scene(Data("none", {}, {}), seed=3)


def trained(model):
    """The model with something learnt: an adapter that is not zero, or other weights."""
    model.weights.make_trainable()
    torch.manual_seed(1)
    for name, weight in model.model.named_parameters():
        if weight.requires_grad and weight.dim() > 1 and ("lora_B" in name or "lora" not in name):
            weight.data += 0.05 * torch.randn_like(weight)
    return model


def logits(model, state="current"):
    with model.state(state) as network, torch.no_grad():
        return network(torch.arange(3, 11)[None]).logits


def bound(attack):
    attack.bind("it", SCENE)
    return attack
