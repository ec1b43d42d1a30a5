"""Bytes of an optimiser's moments, beside what bitsandbytes keeps."""

import pytest
import torch

from tests.plan.test_plan import planned
from unlearnkit.errors import UserError
from unlearnkit.plan.optimisers import packed_share


def test_share_of_a_moment_in_8_bit():
    # 4,095 numbers stay in fp32; 4,096 are as many bytes and 16 scales; 4,097 have 17.
    assert packed_share([4095]) == 1.0
    assert packed_share([4096]) == (4096 + 64) / (4 * 4096)
    assert packed_share([4097, 10]) == (4097 + 68 + 40) / (4 * 4107)
    assert packed_share([]) == 1.0


def test_as_bitsandbytes_keeps_it():
    optim = pytest.importorskip("bitsandbytes.optim", reason="bitsandbytes is not installed")
    weights = [torch.nn.Parameter(torch.zeros(size)) for size in (100, 4096, 10_001)]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    adamw = optim.AdamW8bit(weights)
    adamw.step()
    kept = ("state1", "state2", "absmax1", "absmax2")
    stored = sum(adamw.state[weight][name].nbytes for weight in weights for name in kept if name in adamw.state[weight])
    assert stored == pytest.approx(2 * 4 * (100 + 4096 + 10_001) * packed_share([100, 4096, 10_001]), abs=1e-6)


def test_a_plan_counts_it_and_refuses_what_it_does_not_know():
    words = ("+method=ga", "model=tiny", "model.lora=null", "plan.gpus=1", "plan.grid=[1]")
    plain, packed, none = (
        planned(*words, f"+train.arguments.optim={name}")["asked"]["finetune"]["parts"]["optimiser"]
        for name in ("adamw_torch", "adamw_bnb_8bit", "sgd")
    )
    assert none == 0 and plain == 281_344 and packed == 182_415
    with pytest.raises(UserError, match="What the optimiser 'adafactor' holds is not known"):
        planned(*words, "+train.arguments.optim=adafactor")
