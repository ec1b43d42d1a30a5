"""The plain way of each method's step computes what ours does: losses of a few steps that train."""

import pytest
import torch
from networks import network
from ways import METHODS, WAYS, Method, taking

SOME = ["npo_gd", "idk_dpo", "rmu", "undial", "ce_u", "pdu", "gru", "loku"]
CASES = [pytest.param(name, marks=() if name in SOME else pytest.mark.long) for name in METHODS]


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("name", CASES)
def test_the_plain_way_computes_the_same(name, lora):
    losses = {}
    for way in WAYS:
        model = network("100K", lora, "cpu", trainable=False)
        method = Method(name, "data=authors", "model=tiny")
        with taking(way, method, model, method.steps(model, 3, 3)) as take:
            trained = [weight for weight in model.model.parameters() if weight.requires_grad]
            optimiser = torch.optim.SGD(trained, lr=0.02)
            losses[way] = []
            for number in range(3):
                losses[way].append(take(number))
                optimiser.step()
                optimiser.zero_grad()
    assert losses["ours"] == pytest.approx(losses["plain"], rel=1e-5, abs=1e-5)
    assert len(set(losses["ours"])) == 3
