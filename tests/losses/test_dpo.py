"""DPO against numbers worked out by hand."""

import math

import pytest
import torch

from unlearnkit.losses import DPO, Answers

# The chosen answer has two tokens (0.5 * 0.8 = 0.4), the rejected one one (0.25).
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]]).log() + torch.tensor([[1.0], [0], [-3]])
LABELS = torch.tensor([0, 1, 1])
REFERENCE = torch.tensor([0.8, 0.125]).log()  # so the chosen one's ratio is 1/2, the rejected one's 2


def dpo(logits=LOGITS, beta=1.0, total=2, reference=REFERENCE):
    return DPO("preferences", beta=beta)(Answers(logits, LABELS, [2, 1], 3, total, reference_log_probs=reference))


def test_value():
    # the margin is -2 ln 2: -ln sigma(-2 ln 2) = ln 5, and at beta 1/2 ln 3
    assert dpo().item() == pytest.approx(math.log(5))
    assert dpo(beta=0.5).item() == pytest.approx(math.log(3))


def test_it_is_a_mean_over_pairs():
    logits, labels = LOGITS.repeat(2, 1), LABELS.repeat(2)
    reference = torch.cat([REFERENCE, REFERENCE.flip(0)])
    twice = DPO("preferences", beta=1.0)(Answers(logits, labels, [2, 1, 2, 1], 6, 4, reference_log_probs=reference))
    # the second pair: ratios 0.4 / 0.125 = 3.2 and 0.25 / 0.8 = 0.3125, so ln(1 + 0.3125 / 3.2)
    assert twice.item() == pytest.approx((math.log(5) + math.log(1 + 0.3125 / 3.2)) / 2)


def test_a_slice_is_its_share_of_the_step():
    assert dpo(total=8).item() == pytest.approx(math.log(5) / 4)


def test_at_the_reference_it_is_ln_2():
    assert dpo(reference=torch.tensor([0.4, 0.25]).log()).item() == pytest.approx(math.log(2))


def test_gradient_is_that_of_finite_differences():
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(dpo, (logits,), eps=1e-2, atol=1e-4, rtol=1e-3)


def test_without_the_reference():
    with pytest.raises(ValueError, match="needs the reference"):
        dpo(reference=None)
