"""Flat logits against numbers worked out by hand."""

import pytest
import torch

from unlearnkit.losses import Answers, LogitFlattening

LOGITS = torch.tensor([[3.0, 0.0, 0.0], [-1.0, 1.0, 0.0]])
LABELS = torch.tensor([2, 0])


def flat(logits=LOGITS, total=2):
    return LogitFlattening("forget")(Answers(logits, LABELS, [2], total, 1))


def test_value():
    assert flat().item() == pytest.approx((2.0**2 + 1.0**2) / 2)  # 3 - 1 and 1 - 0


def test_a_slice_is_its_share_of_the_step():
    assert flat(total=8).item() == pytest.approx(flat().item() / 4)


def test_gradient_is_that_of_finite_differences():
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(flat, (logits,), eps=1e-2, atol=1e-4, rtol=1e-3)


def test_a_constant_moves_nothing():
    assert flat(LOGITS + 7).item() == pytest.approx(flat().item())
