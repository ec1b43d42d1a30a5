"""The closed form against a case solved by hand and against what it minimises; weights under every layout."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from unlearnkit.errors import UserError
from unlearnkit.models import tiny
from unlearnkit.stages.rewriting import add_to, closed_form, key_width, matrix_of


def test_a_case_solved_by_hand():
    # C = diag(1, 2), lambda = 2, k = (1, 2): 2C + kk^T = [[3, 2], [2, 8]], its inverse [[8, -2], [-2, 3]] / 20,
    # so that k^T times it is (4, 4) / 20 = (0.2, 0.2), and r = (10, 5) gives [[2, 2], [1, 1]].
    found = closed_form(
        torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [5.0]]), torch.diag(torch.tensor([1.0, 2.0])), 2.0
    )
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.tensor([[2.0, 2.0], [1.0, 1.0]], dtype=torch.float64))


def test_it_minimises_what_it_says():
    torch.manual_seed(0)
    keys, residuals, text = torch.randn(6, 3).double(), torch.randn(4, 3).double(), torch.randn(6, 50).double()
    moment = text @ text.T / 50
    update = closed_form(keys, residuals, moment, 7.0).requires_grad_(True)
    loss = 7.0 * (update @ text).square().sum() / 50 + (update @ keys - residuals).square().sum()
    loss.backward()
    assert float(update.grad.abs().max()) < 1e-10


def test_more_weight_on_the_text_moves_the_facts_less():
    torch.manual_seed(0)
    keys, residuals = torch.randn(6, 3), torch.randn(4, 3)
    reached = [
        float((closed_form(keys, residuals, torch.eye(6), w) @ keys.double()).norm()) for w in (1e-9, 1.0, 100.0)
    ]
    assert reached[0] == pytest.approx(float(residuals.norm()), rel=1e-6) and reached[0] > reached[1] > reached[2]


def test_a_matrix_without_an_inverse():
    with pytest.raises(UserError, match="has no inverse.*the keys of FILE leave directions out") as caught:
        closed_form(torch.ones(3, 1), torch.ones(2, 1), torch.zeros(3, 3), 5.0, "FILE")
    assert "stages.memit.text" in caught.value.fix


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_an_update_is_added_and_the_original_kept(lora_model, kind, dtype):
    torch.manual_seed(0)
    module = (nn.Linear(5, 3) if kind == "linear" else Conv1D(3, 5)).to(dtype)
    assert key_width(module) == 5
    before, inputs = module.weight.detach().clone(), torch.randn(2, 5).to(dtype)
    output = module(inputs).float()
    update = torch.randn(3, 5).double()
    changed = add_to(lora_model, module, update)
    assert changed == pytest.approx(float(update.norm() / before.double().norm()))
    expected = output + inputs.float() @ update.float().T
    torch.testing.assert_close(module(inputs).float(), expected, atol=1e-5 if dtype == torch.float32 else 0.1, rtol=0)
    add_to(lora_model, module, update)  # a second edit keeps the first original
    assert torch.equal(lora_model.weights.originals[module.weight], before) and module.weight.dtype == dtype


def test_the_base_weight_under_an_adapter():
    bare = AutoModelForCausalLM.from_config(tiny.config("llama"))
    module = bare.get_submodule("model.layers.1.mlp.down_proj")
    adapted = get_peft_model(bare, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    wrapped = adapted.get_base_model().get_submodule("model.layers.1.mlp.down_proj")
    assert wrapped is not module and matrix_of(wrapped) is module.weight and key_width(wrapped) == 64
