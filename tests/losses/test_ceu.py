"""CE-U against numbers worked out by hand."""

import math

import pytest
import torch

from unlearnkit.losses import CEU, Answers

# Two answers, of two tokens and of one.
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]).log() + torch.tensor([[1.0], [0], [-3]])
LABELS = torch.tensor([0, 1, 1])
# Without the label the others share everything: (0, 1/2, 1/2), (1/4, 0, 3/4) and (1/3, 0, 2/3).
FIRST = -math.log(0.25)
SECOND = -(math.log(0.1) + 3 * math.log(0.3)) / 4
THIRD = -(math.log(0.25) + 2 * math.log(0.5)) / 3


def ceu(logits=LOGITS, tokens=3, answers=2, **settings):
    return CEU("forget", **settings)(Answers(logits, LABELS, [2, 1], tokens, answers))


def test_value():
    assert ceu(skip_first=False).item() == pytest.approx((FIRST + SECOND + THIRD) / 3)


def test_the_first_token_of_each_answer_is_left_alone():
    assert ceu().item() == pytest.approx(SECOND)
    logits = LOGITS.clone().requires_grad_(True)
    ceu(logits).backward()
    assert torch.equal(logits.grad[[0, 2]], torch.zeros(2, 3)) and logits.grad[1].abs().max() > 0


def test_a_slice_is_its_share_of_the_step():
    assert ceu(tokens=12, answers=8).item() == pytest.approx(ceu().item() / 4)  # 4 tokens that are not the first
    assert ceu(tokens=12, skip_first=False).item() == pytest.approx(ceu(skip_first=False).item() / 4)


def test_no_gradient_flows_through_the_target():
    logits = LOGITS.clone().requires_grad_(True)
    ceu(logits, skip_first=False).backward()
    target = torch.tensor([[0, 0.5, 0.5], [0.25, 0, 0.75], [1 / 3, 0, 2 / 3]])
    torch.testing.assert_close(logits.grad, (LOGITS.softmax(-1) - target) / 3)


def test_answers_of_one_token_alone_say_nothing():
    logits = LOGITS[:1].clone().requires_grad_(True)
    loss = CEU("forget")(Answers(logits, LABELS[:1], [1], 1, 1))
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros(1, 3))
