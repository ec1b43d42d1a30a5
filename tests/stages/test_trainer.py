"""The weighted sum of terms over one packed forward."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from unlearnkit.losses import KL, NLL
from unlearnkit.models.reading import read
from unlearnkit.stages.steps import Step
from unlearnkit.stages.trainer import weighted_sum

FORGET, RETAIN = ((5, 6, 7), (8, 9, 10)), ((5, 6), (11, 12))


@pytest.fixture
def step():
    return Step(0, {"forget": [FORGET], "retain": [RETAIN]}, {"forget": (3, 1), "retain": (2, 1)})


@torch.no_grad()
def reference_of(model, state, row, wanted):
    assert state == "start"
    with model.disable_adapter():
        return read(model, row, wanted)


def alone(model, example):
    prompt, response = example
    return model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]


def test_one_forward_equals_a_forward_a_term(lora_model, step):
    lora_model.weights.make_trainable()
    model = lora_model.model.eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    terms = {"forget": NLL("forget", -2.0), "retain": KL("retain", 0.5)}
    seen = {}
    total = weighted_sum(
        partial(read, model),
        terms,
        step,
        partial(reference_of, model),
        lambda name, _, value: seen.update({name: value}),
    )
    nll = F.cross_entropy(alone(model, FORGET), torch.tensor(FORGET[1]))
    q = alone(model, RETAIN).log_softmax(-1)
    with model.disable_adapter():
        p = alone(model, RETAIN).log_softmax(-1)
    kl = (p.exp() * (p - q)).sum(-1).mean()
    assert kl > 1e-3
    torch.testing.assert_close(seen, {"forget": nll, "retain": kl}, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(total, -2.0 * nll + 0.5 * kl, atol=1e-5, rtol=1e-4)


def test_terms_without_a_row_in_a_micro_batch():
    def never(*_):
        raise AssertionError("a pass over nothing")

    seen, step = {}, Step(0, {"forget": [FORGET], "retain": []}, {"forget": (3, 1), "retain": (2, 1)})
    terms = {"retain": NLL("retain", 2.0), "keep": KL("retain")}
    total = weighted_sum(never, terms, step, never, lambda name, _, value: seen.update({name: value.item()}))
    assert total.item() == 0 and not total.requires_grad and seen == {"retain": 0, "keep": 0}
