"""Logits that do not stand are those that do; a cap behind the head is seen, a scale does no harm."""

import pytest
import torch
from small_networks import CONFIGS, EXAMPLES, made
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit.losses.projected import Projected, whole
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.heads import config_ends_with_head, ends_with_head
from unlearnkit.models.packing import pack
from unlearnkit.models.reading import Outputs, read

BEHIND = {
    "granite": {**CONFIGS["granite"], "logits_scaling": 7.0},
    "cohere": {**CONFIGS["llama"], "logit_scale": 0.3},
    "gemma2": {**CONFIGS["gemma3_text"], "final_logit_softcapping": 30.0, "attn_logit_softcapping": None},
}


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind != "granite"])
def test_logits_that_do_not_stand(kind, lora):
    model, row = made(kind, lora), pack(EXAMPLES)
    assert ends_with_head(model) and config_ends_with_head(model.config)
    places = len(row.labels)
    for standing, projected in ((places * 259, False), (places * 259 - 1, True), (None, False)):
        logits = read(model, row, Outputs(), standing=standing).logits
        assert isinstance(logits, Projected) is projected and logits.shape == (places, 259)
        torch.testing.assert_close(whole(logits), read(model, row, Outputs()).logits)


@pytest.mark.parametrize("kind", BEHIND)
def test_a_scale_may_stand_behind_the_head_and_a_cap_may_not(kind):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **BEHIND[kind])).eval()
    use_packed_attention(model)
    row = pack(EXAMPLES)
    assert ends_with_head(model) is config_ends_with_head(model.config) is (kind != "gemma2")
    assert "forward" not in vars(model.get_output_embeddings())
    if kind != "gemma2":
        logits = read(model, row, Outputs(), standing=0).logits
        torch.testing.assert_close(whole(logits), read(model, row, Outputs()).logits)
