"""The likeliest wrong token, by hand."""

import pytest
import torch

from unlearnkit.losses import Adversarial, Answers

REFERENCE = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.25, 0.05, 0.7]]).log() + torch.tensor(
    [[5.0], [0.0], [-9.0]]
)
LABELS = torch.tensor([0, 2, 2])  # the reference's likeliest, its second, its likeliest
WRONG = [1, 1, 0]
LOGITS = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.1, 0.2, 0.7]]).log()


def answers(logits=LOGITS, reference=REFERENCE, labels=LABELS, total=3):
    return Answers(logits, labels, [2, 1], total, 2, reference)


def test_the_likeliest_token_that_is_not_the_answers():
    assert Adversarial.rivals(LABELS, REFERENCE).tolist() == WRONG


def test_never_the_answers_token_in_a_tie():
    tied = torch.tensor([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.0, 0.0, 0.0]])
    first, second, third = Adversarial.rivals(LABELS, tied).tolist()
    assert (first, second) == (1, 1) and third in (0, 1)


def test_value():
    assert Adversarial("forget")(answers()).item() == pytest.approx(1.4606756)  # (ln 2 + ln 4 + ln 10) / 3
    assert Adversarial("forget")(answers(total=8)).item() == pytest.approx(0.5477533)
    by_answer = Adversarial("forget", mean="answers")(answers())
    assert by_answer.item() == pytest.approx(1.6711530)  # ((ln 2 + ln 4) / 2 + ln 10) / 2


def test_gradient_by_hand():
    logits, reference = LOGITS[:1].clone().requires_grad_(True), REFERENCE[:1].clone().requires_grad_(True)
    Adversarial("forget")(Answers(logits, LABELS[:1], [1], 2, 1, reference)).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[0.125, -0.25, 0.125]]))  # (p - onehot) / 2
    assert reference.grad is None


def test_the_reference_is_left_as_it_was():
    reference = REFERENCE.clone()
    Adversarial("forget")(answers(reference=reference))
    assert torch.equal(reference, REFERENCE)


def test_it_needs_the_reference():
    assert Adversarial("forget").needs_reference
    with pytest.raises(ValueError, match="reference"):
        Adversarial("forget")(answers(reference=None))
