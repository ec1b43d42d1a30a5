"""RMU's two losses by hand and by finite differences."""

import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.losses import Answers, KeepStates, Steer
from unlearnkit.losses.states import check_layer, layer_number

NOTHING = torch.zeros(0)


def answers(states, sizes, total, reference=None, seed=0):
    return Answers(
        *(NOTHING, NOTHING, sizes, sum(sizes), total),
        draw=(seed, 5),
        states=states,
        reference_states=reference,
        sizes_of_states=sizes,
    )


def test_steer_by_hand():
    """Two examples of one and two tokens: (mean 4) and (mean of 4 and 16) over two, u made plain."""
    loss = Steer("forget", layer=1, coefficient=2.0)
    loss.direction = lambda size, seed: torch.tensor([1.0, 0.0])
    states = torch.tensor([[2.0, 8**0.5], [4.0, 2.0], [2.0, 32**0.5]])  # away by (0, √8), (2, 2), (0, √32)
    assert loss(answers(states, [1, 2], 2)).item() == pytest.approx((4 + (4 + 16) / 2) / 2, rel=1e-6)
    assert loss(answers(states[:1], [1], 2)).item() == pytest.approx(2.0)  # a half of the step's shares


def test_the_direction_is_a_unit_vector_of_the_run_alone():
    loss = Steer("forget", layer=0.5)
    one = loss.direction(16, 3)
    assert one.norm().item() == pytest.approx(1.0, rel=1e-6) and (one >= 0).all()
    assert torch.equal(one, Steer("other", layer=1).direction(16, 3))
    assert not torch.equal(one, loss.direction(16, 4))


def test_keep_states_by_hand():
    states, kept = (
        torch.tensor([[1.0, 1.0], [3.0, 1.0], [0.0, 0.0]]),
        torch.tensor([[1.0, 3.0], [0.0, 1.0], [1.0, 1.0]]),
    )
    loss = KeepStates("retain", layer=1)
    assert loss(answers(states, [2, 1], 2, kept)).item() == pytest.approx(((2 + 4.5) / 2 + 1) / 2)


@pytest.mark.parametrize("loss", [Steer("s", layer=2), KeepStates("s", layer=2)])
def test_gradients(loss):
    torch.manual_seed(0)
    kept = torch.randn(5, 3, dtype=torch.float64)
    states = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    direct = answers(states, [2, 3], 2, kept)
    loss(direct).backward()
    flat = states.detach().clone()
    for place in [(0, 0), (3, 2), (4, 1)]:
        more, less = flat.clone(), flat.clone()
        more[place] += 1e-2
        less[place] -= 1e-2
        slope = (loss(answers(more, [2, 3], 2, kept)) - loss(answers(less, [2, 3], 2, kept))) / 2e-2
        assert states.grad[place].item() == pytest.approx(slope.item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "depth", "number"), [(7, 32, 7), (0.22, 32, 7), (0.19, 32, 6), (0.16, 32, 5), (0.99, 4, 3), (0.1, 4, 0)]
)
def test_a_layer_by_number_and_by_share(layer, depth, number):
    assert layer_number(check_layer(layer), depth) == number


def test_a_layer_that_the_model_does_not_have():
    with pytest.raises(UserError, match="layer=40: the model has 30 layers, 0 to 29"):
        layer_number(40, 30)


@pytest.mark.parametrize("layer", [-1, 1.0, 0.0, 1.5, True, "7", None, float("nan")])
def test_what_is_no_layer(layer):
    with pytest.raises(UserError, match="neither a layer's number"):
        Steer("forget", layer=layer)
