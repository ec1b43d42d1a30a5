"""Logits that are no numbers are known to every rank, and to every watch by what it saw itself."""

import math

import pytest
import torch
from forked import on_ranks

from unlearnkit.models.finite import NoNumbers, odd_weight, refuse_odd, watched

# Two ranks, of which the second sees a NaN, then the first finds one in its records, then none does.
ON_RANKS = """
import sys
import torch
from unlearnkit import ranks
from unlearnkit.models.finite import NoNumbers, refuse_odd, watched

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Identity()
    def get_output_embeddings(self):
        return self.head

ranks.start()
found = []
for logit, odd in ((ranks.rank() == 1, False), (False, ranks.rank() == 0), (False, False)):
    network = Network()
    with watched(network):
        network.head(torch.tensor([[0.0, torch.nan if logit else 1.0]]))
        try:
            refuse_odd(odd)
            found.append("passed")
        except NoNumbers:
            found.append("refused")
open(f"{sys.argv[1]}/{ranks.rank()}", "w").write(" ".join(found))
ranks.end()
"""


class Network(torch.nn.Module):
    """A head that passes on what it is given."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Identity()

    def get_output_embeddings(self):
        return self.head


def see(network, logit):
    network.head(torch.tensor([[0.0, logit]]))


@pytest.mark.parametrize("same", [True, False])
def test_a_watch_in_another_leaves_what_that_has_seen(same):
    outer = Network()
    inner = outer if same else Network()
    with watched(outer):
        see(outer, math.nan)
        with watched(inner):
            see(inner, 1.0)
        with pytest.raises(NoNumbers):
            refuse_odd()
    refuse_odd()


def test_what_only_the_inner_one_saw_ends_with_it():
    outer, inner = Network(), Network()
    with watched(outer):
        see(outer, 1.0)
        with watched(inner):
            see(inner, math.inf)
            with pytest.raises(NoNumbers):
                refuse_odd()
        refuse_odd()
    assert not outer.head._forward_hooks and not inner.head._forward_hooks


def test_a_watch_that_an_error_ended_is_forgotten():
    network = Network()
    with pytest.raises(KeyError), watched(network):
        see(network, math.nan)
        raise KeyError
    with watched(network):
        see(network, 1.0)
        refuse_odd()


def test_what_one_rank_has_seen_both_refuse(tmp_path):
    done = on_ranks(2, "-c", ON_RANKS, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / str(rank)).read_text() for rank in (0, 1)] == ["refused refused passed"] * 2


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_none_among_thousands(kind, value):
    network = torch.nn.ModuleDict({"empty": torch.nn.Linear(0, 3, bias=False), "own": torch.nn.Linear(70, 70)}).to(kind)
    with torch.no_grad():
        network["own"].weight.fill_(torch.finfo(kind).max)  # the greatest number is one
        assert odd_weight(network) is None
        network["own"].bias[69] = value
    assert odd_weight(network) == "own.bias"
