"""SatImp against numbers worked out by hand."""

import pytest
import torch

from unlearnkit.losses import Answers, SatImp

LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]).log() + torch.tensor([[1.0], [-2.0]])
LABELS = torch.tensor([0, 1])


def satimp(logits=LOGITS, total=2, **settings):
    return SatImp("forget", **{"saturation": 2.0, "importance": 1.0, **settings})(
        Answers(logits, LABELS, [2], total, 1)
    )


def test_value():
    # 0.5^2 0.5 ln 0.5 = -0.0866434 and 0.8^2 0.2 ln 0.8 = -0.0285624
    assert satimp().item() == pytest.approx((-0.0866434 - 0.0285624) / 2, abs=1e-6)


def test_a_slice_is_its_share_of_the_step():
    assert satimp(total=8).item() == pytest.approx(satimp().item() / 4)


def test_no_gradient_flows_through_the_weights():
    logits = LOGITS.clone().requires_grad_(True)
    satimp(logits).backward()
    plain = LOGITS.clone().requires_grad_(True)
    logs = plain.log_softmax(-1).gather(1, LABELS[:, None])[:, 0]
    ((torch.tensor([0.125, 0.128]) * logs).sum() / 2).backward()
    torch.testing.assert_close(logits.grad, plain.grad)


def test_without_weights_it_is_gradient_ascent():
    assert satimp(saturation=0.0, importance=0.0).item() == pytest.approx(-0.4581454)  # (ln 0.5 + ln 0.8) / 2


def test_a_certain_token_is_left_alone_and_finite():
    logits = torch.tensor([[200.0, 0, 0]]).requires_grad_(True)
    loss = SatImp("forget")(Answers(logits, torch.tensor([0]), [1], 1, 1))
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros(1, 3))
