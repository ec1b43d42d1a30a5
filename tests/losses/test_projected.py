"""Logits that are made some positions at a time give what they would give standing."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from unlearnkit.losses import projected
from unlearnkit.losses.projected import Projected, in_pieces, whole

torch.manual_seed(0)
STATES, WEIGHTS, OTHER = torch.randn(11, 4), torch.randn(7, 4), torch.randn(7, 4)
LABELS = torch.arange(11) % 7


def squared(logits, labels, reference):
    return (logits.log_softmax(-1) - reference.log_softmax(-1)).square().gather(1, labels[:, None])[:, 0]


def made(rows_a_piece, monkeypatch, frozen=False):
    """The values, and the gradients of states and head."""
    monkeypatch.setattr(projected, "PIECE", 7 * rows_a_piece)
    states, head, seen = STATES.clone().requires_grad_(), WEIGHTS.clone().requires_grad_(not frozen), []

    def asked(some):
        seen.append(len(some))
        return some @ head.T

    values = in_pieces(squared, Projected(states, asked, 7, frozen), LABELS, STATES @ OTHER.T)
    values.pow(2).sum().backward()
    return values.detach(), states.grad, head.grad, seen


def test_values_and_gradients_of_whole_logits(monkeypatch):
    states, head = STATES.clone().requires_grad_(), WEIGHTS.clone().requires_grad_()
    expected = squared(states @ head.T, LABELS, STATES @ OTHER.T)
    expected.pow(2).sum().backward()
    for rows, sizes in ((1, [1] * 11), (4, [4, 4, 3]), (100, [11])):
        values, by_state, by_weight, seen = made(rows, monkeypatch)
        torch.testing.assert_close(values, expected.detach())
        torch.testing.assert_close(by_state, states.grad, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(by_weight, head.grad, rtol=1e-5, atol=1e-3)
        assert seen[: len(sizes)] == sizes and sorted(seen[len(sizes) :]) == sorted(sizes)  # once more for its gradient


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_a_frozen_head_is_asked_once_a_piece(rows, monkeypatch):
    values, by_state, _, _ = made(rows, monkeypatch)
    again, gradient, none, seen = made(rows, monkeypatch, frozen=True)
    torch.testing.assert_close(again, values)
    torch.testing.assert_close(gradient, by_state, rtol=1e-5, atol=1e-3)
    assert none is None and sum(seen) == 11


@pytest.mark.parametrize("frozen", [True, False])
def test_modules_that_are_counted_give_the_same(frozen, monkeypatch):
    monkeypatch.setattr(projected, "PIECE", 7 * 4)

    def asked():
        head = torch.nn.Linear(4, 7, bias=False).requires_grad_(not frozen)
        head.weight.data.copy_(WEIGHTS)
        leaf = STATES.clone().requires_grad_()
        values = in_pieces(squared, Projected(leaf * 1, head, 7, frozen), LABELS, STATES @ OTHER.T)
        values.pow(2).sum().backward()
        return values.detach(), leaf.grad, head.weight.grad

    expected = asked()
    with FlopCounterMode(display=False) as counter:
        found = asked()
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    products = 3 if frozen else 5  # the reference's, forward and states' gradient; forward again and weights' gradient
    assert counter.get_total_flops() == products * 2 * 11 * 4 * 7


def test_a_part_is_a_part_of_the_states():
    logits = Projected(STATES, lambda states: states @ WEIGHTS.T, 7)
    part = logits[torch.tensor([3, 1])]
    assert (len(part), part.shape, logits.shape) == (2, (2, 7), (11, 7))
    torch.testing.assert_close(whole(part), whole(STATES @ WEIGHTS.T)[[3, 1]])


@pytest.mark.parametrize("compared", [None, STATES @ OTHER.T])
def test_what_stands_is_asked_once(compared):
    calls = []

    def value(logits, labels, reference=None):
        calls.append((len(logits), reference is None))
        return logits.sum(-1)

    logits = STATES.bfloat16() @ WEIGHTS.bfloat16().T
    assert in_pieces(value, logits, LABELS, compared).dtype == torch.float32
    assert calls == [(11, compared is None)]
