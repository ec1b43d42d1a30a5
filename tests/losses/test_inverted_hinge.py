"""The inverted hinge against numbers worked out by hand."""

import pytest
import torch

from unlearnkit.losses import Answers, InvertedHinge

LOGITS = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.25, 0.25, 0.5]]).log() + torch.tensor(
    [[1.0], [-2.0], [0.0]]
)
LABELS = torch.tensor([0, 2, 1])


def hinge(logits=LOGITS, total=3):
    return InvertedHinge("forget")(Answers(logits, LABELS, [2, 1], total, 2))


def test_value():
    # 1 + 0.5 - 0.3, 1 + 0.2 - 0.7, 1 + 0.25 - 0.5
    assert hinge().item() == pytest.approx((1.2 + 0.5 + 0.75) / 3)


def test_a_slice_is_its_share_of_the_step():
    assert hinge(total=12).item() == pytest.approx(hinge().item() / 4)


def test_gradient_by_finite_differences():
    logits = LOGITS.double().requires_grad_(True)  # computed in fp32, so in larger steps than gradcheck's own
    assert torch.autograd.gradcheck(hinge, (logits,), eps=1e-2, atol=1e-3)


def plain(logits, labels):
    """With every probability written out."""
    p = logits.softmax(-1)
    others = p.masked_fill(torch.nn.functional.one_hot(labels, logits.shape[1]).bool(), -1.0)
    return (1 + p.gather(1, labels[:, None])[:, 0] - others.max(-1).values).mean()


@pytest.mark.parametrize("scale", [0.1, 3.0, 60.0])
def test_as_the_formula_has_it_on_random_logits(scale):
    torch.manual_seed(0)
    logits = (scale * torch.randn(40, 9)).double().requires_grad_(True)
    labels = torch.randint(0, 9, (40,))
    labels[:9] = logits[:9].argmax(-1)  # the answer's token is the likeliest one, too
    made = InvertedHinge("forget")(Answers(logits, labels, [40], 40, 1))
    expected = plain(logits, labels)
    torch.testing.assert_close(made.double(), expected, rtol=1e-6, atol=1e-7)
    one, other = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (made, expected))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
