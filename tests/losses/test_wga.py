"""WGA against numbers worked out by hand."""

import pytest
import torch

from unlearnkit.losses import WGA, Answers

LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]).log() + torch.tensor([[1.0], [-2.0]])
LABELS = torch.tensor([0, 1])


def wga(logits=LOGITS, total=2, beta=1.0):
    return WGA("forget", beta=beta)(Answers(logits, LABELS, [2], total, 1))


def test_value():
    # 0.5 ln 0.5 = -0.3465736 and 0.8 ln 0.8 = -0.1785148; squared weights: 0.25 and 0.64
    assert wga().item() == pytest.approx((-0.3465736 - 0.1785148) / 2)
    assert wga(beta=2.0).item() == pytest.approx((0.25 * -0.6931472 + 0.64 * -0.2231436) / 2)


def test_a_slice_is_its_share_of_the_step():
    assert wga(total=8).item() == pytest.approx(wga().item() / 4)


def test_the_gradient_of_an_unlikely_token_fades():
    def largest(p):
        logits = torch.tensor([[p, 1 - p]]).log().requires_grad_(True)
        WGA("forget")(Answers(logits, torch.tensor([0]), [1], 1, 1)).backward()
        return logits.grad.abs().max().item()

    assert largest(0.5) == pytest.approx(0.25) and largest(1e-4) < 1.01e-4
