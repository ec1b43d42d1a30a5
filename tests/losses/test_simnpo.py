"""SimNPO against numbers worked out by hand, and the two ways to write its margin."""

import math

import pytest
import torch

from unlearnkit.losses import Answers, SimNPO

# Two answers, of two tokens and of one: their probabilities are 0.5 * 0.8 = 0.4 and 0.25.
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]]).log() + torch.tensor([[1.0], [0], [-3]])
LABELS = torch.tensor([0, 1, 1])


def simnpo(logits=LOGITS, total=2, **settings):
    return SimNPO("forget", **{"beta": 1.0, **settings})(Answers(logits, LABELS, [2, 1], 3, total))


def test_value():
    # -2 ln sigma(-ln sqrt(0.4)) = 2 ln(1 + sqrt(0.4)) = 0.9801707 and 2 ln(1 + 0.25) = 0.4462871
    assert simnpo().item() == pytest.approx((0.9801707 + 0.4462871) / 2)


def test_beta():
    # -(2 / 4.5) ln sigma(-4.5 ln p) = (2 / 4.5) ln(1 + p^4.5)
    expected = sum(math.log(1 + p**4.5) for p in (math.sqrt(0.4), 0.25)) / 4.5
    assert simnpo(beta=4.5).item() == pytest.approx(expected)


def test_margin_is_the_papers_and_delta_times_beta():
    """OpenUnlearning: -2 / b log sigma(b (NLL / |y| - delta))."""
    nll = [-math.log(0.4) / 2, -math.log(0.25)]
    expected = sum(math.log(1 + math.exp(-2.0 * (each - 0.3))) for each in nll) / 2
    assert simnpo(beta=2.0, margin=0.6).item() == pytest.approx(expected)


def test_a_slice_is_its_share_of_the_step():
    assert simnpo(total=8).item() == pytest.approx(simnpo().item() / 4)


def test_gradient_is_that_of_finite_differences():
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: simnpo(x, margin=0.5), (logits,), eps=1e-2, atol=1e-4, rtol=1e-3)
