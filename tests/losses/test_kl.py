"""KL against numbers worked out by hand."""

import pytest
import torch

from unlearnkit.losses import KL, Answers

REFERENCE = torch.tensor([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25]]).log()
LOGITS = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.25, 0.5, 0.25]]).log() + torch.tensor([[2.0], [-4.0]])
LABELS = torch.tensor([0, 1])


def kl(logits, reference=REFERENCE, total=2, weight=1.0):
    return KL("retain", weight)(Answers(logits, LABELS, [2], total, 1, reference))


def test_value():
    # 0.9 ln 2.7 + 0.1 ln 0.15 = 0.7042146 (the reverse would be 0.9336627), and ln(2) / 4 = 0.1732868
    assert kl(LOGITS[:1], REFERENCE[:1], total=1).item() == pytest.approx(0.70421460)
    assert kl(LOGITS).item() == pytest.approx(0.43875070)


def test_a_slice_is_its_share_of_the_step():
    assert kl(LOGITS, total=8).item() == pytest.approx(0.10968767)


def test_zero_at_equal_distributions():
    assert kl(REFERENCE).item() == 0
    assert kl(REFERENCE + 5).item() == pytest.approx(0, abs=1e-6)


def test_never_negative():
    torch.manual_seed(0)
    for _ in range(50):
        assert kl(torch.randn(2, 3) * 4, torch.randn(2, 3) * 4).item() >= -1e-6


def test_gradient_is_that_of_finite_differences():
    logits = LOGITS.double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: kl(x, total=3), (logits,), eps=1e-2, atol=1e-4, rtol=1e-3)


def test_gradient_by_hand():
    logits = LOGITS.clone().requires_grad_(True)
    kl(logits).backward()
    expected = torch.tensor([[1 / 3 - 0.9, 1 / 3 - 0.05, 1 / 3 - 0.05], [-0.25, 0.25, 0.0]]) / 2  # (q - p) / 2
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize(("weight", "grows"), [(-1.0, True), (1.0, False)])
def test_a_negative_weight_grows_the_divergence(weight, grows):
    term = KL("retain", weight)
    logits = LOGITS.clone().requires_grad_(True)
    before = term(Answers(logits, LABELS, [2], 2, 1, REFERENCE))
    (term.weight * before).backward()
    after = kl((logits - 0.1 * logits.grad).detach())
    assert (after > before) == grows


def test_bf16_logits_are_computed_in_fp32():
    logits, reference = (LOGITS * 3).bfloat16(), (REFERENCE * 3).bfloat16()
    loss = kl(logits, reference)
    q, p = logits.double().softmax(-1), reference.double().softmax(-1)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((p * (p / q).log()).sum().item() / 2, rel=1e-6)


def test_without_a_reference_it_says_so():
    with pytest.raises(ValueError, match="reference"):
        kl(LOGITS, None)
