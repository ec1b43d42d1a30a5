"""UNDIAL against numbers worked out by hand."""

import math

import pytest
import torch

from unlearnkit.losses import UNDIAL, Answers

REFERENCE = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2]]).log() + torch.tensor([[2.0], [-1.0]])
LOGITS = torch.tensor([[0.25, 0.5, 0.25], [0.4, 0.4, 0.2]]).log() + torch.tensor([[1.0], [-3.0]])
LABELS = torch.tensor([0, 1])


LN2 = math.log(2)


def undial(logits=LOGITS, reference=REFERENCE, total=2, beta=LN2):
    return UNDIAL("forget", beta=beta)(Answers(logits, LABELS, [2], total, 1, reference))


def test_value():
    # At beta = ln 2 the teacher's odds of the label are halved: (1/3, 1/3, 1/3) and (2/7, 3/7, 2/7).
    first = -(math.log(0.25) + math.log(0.5) + math.log(0.25)) / 3
    second = -(2 * math.log(0.4) + 3 * math.log(0.4) + 2 * math.log(0.2)) / 7
    assert undial().item() == pytest.approx((first + second) / 2)


def test_a_slice_is_its_share_of_the_step():
    assert undial(total=8).item() == pytest.approx(undial().item() / 4)


def test_gradient_is_that_of_finite_differences():
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: undial(x, total=3), (logits,), eps=1e-2, atol=1e-4, rtol=1e-3)


def test_it_rests_at_the_adjusted_teacher_and_leaves_the_teacher_alone():
    reference = REFERENCE.clone()
    logits = (REFERENCE - math.log(2) * torch.eye(3)[LABELS]).requires_grad_(True)
    undial(logits, reference).backward()
    assert logits.grad.abs().max() < 1e-6 and torch.equal(reference, REFERENCE)


def test_without_the_reference():
    with pytest.raises(ValueError, match="needs the reference"):
        undial(reference=None)
