"""What is true of adapters alone."""

import pytest
import torch
from lineages import IDS, learn, loaded, seen, settings, taught

from unlearnkit.errors import UserError


def test_what_a_stage_froze_stays_frozen(folders, tmp_path):
    model, _, _ = taught(folders["llama"], settings("plain"), tmp_path)
    frozen = [name for name, parameter in model.model.named_parameters() if parameter.requires_grad][::2]
    for name, parameter in model.model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    flags = {name: parameter.requires_grad for name, parameter in model.model.named_parameters()}
    seen(model)
    reference = model.weights.reference("start", torch.float32)
    with reference.switch(model.model):
        pass
    for name, parameter in model.model.named_parameters():
        assert parameter.requires_grad == flags.get(name, False), name


def test_states_answer_without_dropout_and_leave_the_mode(folders):
    lora = {**settings("plain"), "lora_dropout": 0.5}
    model = loaded(folders["llama"], lora)
    learn(model)
    model.model.train()
    with model.current() as network, torch.no_grad():
        assert torch.equal(network(input_ids=IDS).logits, network(input_ids=IDS).logits)
    assert model.model.training


@pytest.mark.parametrize("first", ["pissa", "olora", False])
def test_an_adapter_that_changes_the_model_before_it_learns_is_refused(first, folders):
    with pytest.raises(UserError, match=f"init_lora_weights={first} changes the model"):
        loaded(folders["llama"], {**settings("plain"), "init_lora_weights": first})


@pytest.mark.parametrize("name", ["embed_out", "lm_hed", "model.head"])
def test_a_module_to_save_that_there_is_not(name, folders):
    model = loaded(folders["llama"], {**settings("plain"), "modules_to_save": [name]})
    with pytest.raises(UserError, match=f"modules_to_save names '{name}'"):
        model.weights.make_trainable()
