"""A stage that leaves weights that are no numbers is found, whatever it measures."""

import math

import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.models.finite import check_weights


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_weight_of_many(value, dtype):
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 2)).to(dtype)
    check_weights(network, "negate")
    network[1].bias.data[1] = value
    with pytest.raises(UserError, match="The stage 'negate' left weights that are no numbers .*, first in '1.bias'"):
        check_weights(network, "negate")


def test_the_largest_number_is_one():
    network = torch.nn.Linear(1, 1)
    network.weight.data[:] = torch.finfo(torch.float32).max
    check_weights(network, "negate")
