"""The merged model in a few bits."""

import pytest
import torch
from attacked import bound, logits, trained

from unlearnkit.attacks import Quantise
from unlearnkit.attacks.quantise import PACKAGES
from unlearnkit.errors import UserError


@pytest.mark.parametrize("bits", [4, 8])
def test_a_change_smaller_than_a_rounding_step_is_undone_by_4_bit_and_the_model_stays(bits, tiny_model):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    start = logits(tiny_model)
    attack = bound(Quantise(arguments={f"load_in_{bits}bit": True}))
    with attack.on(tiny_model) as rounded:
        kept = logits(rounded)
    tiny_model.weights.make_trainable()
    for name, weight in tiny_model.model.named_parameters():
        if weight.requires_grad and weight.dim() > 1 and "lora_A" not in name:
            weight.data += 1e-7 * torch.ones_like(weight)
    before = logits(tiny_model)
    with attack.on(tiny_model) as attacked:
        assert attacked.model.is_quantized
        assert (logits(attacked) - kept).norm() < 0.02 * kept.norm()  # a weight on a step's edge may fall over it
        assert torch.equal(logits(attacked, "start"), start)
    assert torch.equal(logits(tiny_model), before)


def test_a_large_change_stays(full_model):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    start, model = logits(full_model), trained(full_model)
    with bound(Quantise(arguments={"load_in_8bit": True})).on(model) as attacked:
        own = logits(attacked)
    assert (own - logits(model)).norm() < 0.2 * (own - start).norm()


def test_an_unknown_way_is_refused():
    with pytest.raises(UserError, match="config=Bits is none of BitsAndBytesConfig"):
        bound(Quantise(config="Bits"))


@pytest.mark.parametrize("config", PACKAGES)
def test_what_is_not_installed_is_said_before_a_model_is_loaded(config):
    package, installed = PACKAGES[config]
    if installed():
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=f"needs {package}, which is not installed"):
        bound(Quantise(config=config))
