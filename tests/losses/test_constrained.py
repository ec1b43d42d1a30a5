"""The dual variable's way, by hand."""

import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.losses import NLL, Answers, Constrained

ANSWERS = Answers(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]).log(), torch.tensor([0, 1]), [2], 2, 1)


def test_its_value_is_the_nll():
    assert Constrained("retain", epsilon=1.0)(ANSWERS) == NLL("retain")(ANSWERS)


def test_the_multiplier_grows_by_the_excess_and_is_never_negative():
    term = Constrained("retain", weight=2.0, epsilon=1.0, rate=0.5)
    seen = []
    for step, value in enumerate((3.0, 1.0, 0.5, -9.0, 2.0), start=1):
        term.after_step(step, value)
        seen.append(term.weight)
    assert seen == [3.0, 3.0, 2.75, 0.0, 0.5] and term.state() == {"multiplier": 0.5}


def test_it_waits_for_the_warm_up():
    term = Constrained("retain", weight=2.0, epsilon=1.0, warmup_steps=2)
    for step in (1, 2):
        term.after_step(step, 5.0)
    assert term.weight == 2.0
    term.after_step(3, 5.0)
    assert term.weight == 6.0


def test_it_goes_on_from_its_state():
    term = Constrained("retain", epsilon=1.0)
    term.restore({"multiplier": 7.5})
    assert term.weight == 7.5


def test_without_an_epsilon():
    with pytest.raises(UserError, match="The constraint on 'retain' has no epsilon"):
        Constrained("retain")
