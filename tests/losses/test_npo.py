"""NPO against numbers worked out by hand, and against gradient ascent where beta goes to 0."""

import math

import pytest
import torch

from unlearnkit.losses import NPO, Answers

# Two answers, of two tokens and of one: their probabilities are 0.5 * 0.8 = 0.4 and 0.25.
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]]).log() + torch.tensor([[1.0], [0], [-3]])
LABELS = torch.tensor([0, 1, 1])
REFERENCE = torch.tensor([0.8, 0.125]).log()  # so the ratios are 1/2 and 2


def npo(logits=LOGITS, beta=1.0, total=2, reference=REFERENCE):
    return NPO("forget", beta=beta)(Answers(logits, LABELS, [2, 1], 3, total, reference_log_probs=reference))


def test_value():
    # -2 ln sigma(ln 2) = -2 ln(2/3) = 0.8109302 and -2 ln sigma(-ln 2) = 2 ln 3 = 2.1972246
    assert npo().item() == pytest.approx((0.8109302 + 2.1972246) / 2)


def test_beta():
    # the ratio 1/2 alone, at beta 0.1: -20 ln(2^0.1 / (1 + 2^0.1)) = 13.1818054
    value = NPO("forget", beta=0.1)(Answers(LOGITS[:2], LABELS[:2], [2], 2, 1, reference_log_probs=REFERENCE[:1]))
    assert value.item() == pytest.approx(-20 * math.log(2**0.1 / (1 + 2**0.1)))


def test_a_slice_is_its_share_of_the_step():
    assert npo(total=8).item() == pytest.approx(npo().item() / 4)


def test_gradient_is_that_of_finite_differences():
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(npo, (logits,), eps=1e-2, atol=1e-4, rtol=1e-3)


def test_as_beta_goes_to_0_it_is_gradient_ascent():
    logits = LOGITS.clone().requires_grad_(True)
    npo(logits, beta=1e-3).backward()
    ascent = LOGITS.clone().requires_grad_(True)
    (ascent.log_softmax(-1).gather(1, LABELS[:, None]).sum() / 2).backward()  # the mean over the two answers
    torch.testing.assert_close(logits.grad, ascent.grad, rtol=1e-3, atol=1e-5)


def test_an_answer_that_is_far_gone_is_left_alone():
    logits = LOGITS.clone().requires_grad_(True)
    npo(logits, reference=REFERENCE + 40).backward()
    assert logits.grad.abs().max() < 1e-6


def test_without_the_reference():
    with pytest.raises(ValueError, match="needs the reference"):
        npo(reference=None)
