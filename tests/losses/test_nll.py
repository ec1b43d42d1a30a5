"""NLL against numbers worked out by hand."""

import pytest
import torch

from unlearnkit.losses import NLL, Answers

# Probabilities 1/2, 1/5 and 1/10 of the labels; the second row is shifted, as logits may be.
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.1, 0.3, 0.6]]).log() + torch.tensor(
    [[0.0], [3.0], [-1.0]]
)
LABELS = torch.tensor([0, 1, 0])


def test_value():
    loss = NLL("forget")(Answers(LOGITS, LABELS, [2, 1], total_tokens=3, total_answers=2))
    assert loss.item() == pytest.approx(1.5350567)  # (ln 2 + ln 5 + ln 10) / 3


def test_a_slice_is_its_share_of_the_step():
    loss = NLL("forget")(Answers(LOGITS, LABELS, [2, 1], total_tokens=10, total_answers=4))
    assert loss.item() == pytest.approx(0.4605170)  # ln 100 / 10


def test_the_weight_is_not_applied_twice():
    weighted = NLL("forget", weight=-2.5)
    assert weighted.weight == -2.5
    assert weighted(Answers(LOGITS, LABELS, [3], 3, 1)).item() == pytest.approx(1.5350567)


def test_gradient_is_that_of_finite_differences():
    # The loss computes in fp32, so differences are taken over a step that fp32 resolves.
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x: NLL("forget")(Answers(x, LABELS, [3], 5, 2)), (logits,), eps=1e-2, atol=1e-4, rtol=1e-3
    )


def test_gradient_by_hand():
    logits = LOGITS[:1].clone().requires_grad_(True)
    NLL("forget")(Answers(logits, LABELS[:1], [1], total_tokens=2, total_answers=1)).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, 0.125, 0.125]]))  # (p - onehot) / 2


def test_bf16_logits_are_computed_in_fp32():
    logits = (LOGITS * 7).bfloat16()
    loss = NLL("forget")(Answers(logits, LABELS, [3], 3, 1))
    expected = -sum(row.double().log_softmax(-1)[label] for row, label in zip(logits, LABELS, strict=True)) / 3
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_mean_of_answers():
    loss = NLL("forget", mean="answers")(Answers(LOGITS, LABELS, [2, 1], total_tokens=3, total_answers=2))
    assert loss.item() == pytest.approx(1.7269388)  # ((ln 2 + ln 5) / 2 + ln 10) / 2


@pytest.mark.parametrize(("mean", "whole"), [("tokens", 1.5350567), ("answers", 1.7269388)])
def test_shares_of_micro_batches_add_up(mean, whole):
    term = NLL("forget", mean=mean)
    shares = [term(Answers(LOGITS[w], LABELS[w], [n], 3, 2)).item() for w, n in ((slice(0, 2), 2), (slice(2, 3), 1))]
    assert sum(shares) == pytest.approx(whole)
    if mean == "answers":
        assert shares == pytest.approx([0.5756463, 1.1512925])  # ln 10 / 4 and ln 10 / 2


def test_gradient_of_a_mean_of_answers():
    logits = LOGITS.clone().requires_grad_(True)
    NLL("forget", mean="answers")(Answers(logits, LABELS, [2, 1], 3, 2)).backward()
    expected = torch.tensor([[-0.125, 0.0625, 0.0625], [0.025, -0.2, 0.175], [-0.45, 0.15, 0.3]])
    torch.testing.assert_close(logits.grad, expected)  # (p - onehot) / 4, / 4 and / 2
