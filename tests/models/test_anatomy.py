"""On tiny models: coefficients times value vectors are the MLP's output, and the parts add up to the layer's."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from unlearnkit.errors import UserError
from unlearnkit.models import tiny
from unlearnkit.models.anatomy import PLACES, anatomy

IDS = torch.arange(5, 17)[None]
# olmo2 and gemma3 normalise what attention and MLP give before it is added; opt's MLP has a bias like the others but no
# module.
ADDS_UP = sorted(set(PLACES) - {"olmo2", "gemma3_text"})


def made(architecture):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(tiny.config(architecture)).eval()


@pytest.mark.parametrize("architecture", ADDS_UP)
def test_hidden_states_are_the_sum_of_the_parts(architecture):
    model = made(architecture)
    layers = anatomy(model)
    assert len(layers) == 2
    seen = {}
    for number, layer in enumerate(layers):
        layer.value_vectors.register_forward_hook(lambda m, args, out, n=number: seen.update({("m", n): args[0]}))
        layer.attention.register_forward_hook(lambda m, args, out, n=number: seen.update({("A", n): out[0]}))
        layer.attention_output.register_forward_hook(lambda m, args, out, n=number: seen.update({("o", n): out}))
    with torch.no_grad():
        hidden = model(IDS, output_hidden_states=True, use_cache=False).hidden_states
    for number, layer in enumerate(layers[:-1]):  # the last hidden state is normalised
        module = layer.value_vectors
        rows = module.weight if isinstance(module, Conv1D) else module.weight.T
        written = seen["m", number].reshape(IDS.shape[1], -1) @ rows
        written = written if module.bias is None else written + module.bias
        torch.testing.assert_close(seen["A", number], seen["o", number])
        expected = hidden[number][0] + seen["A", number][0] + written
        torch.testing.assert_close(hidden[number + 1][0], expected)


def test_names_are_paths_in_the_bare_model_under_an_adapter_too():
    bare = made("llama")
    adapted = get_peft_model(bare, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    layer = anatomy(adapted)[1]
    assert (layer.name, layer.value_vectors_name) == ("model.layers.1", "model.layers.1.mlp.down_proj")
    assert layer.value_vectors is bare.get_submodule("model.layers.1.mlp.down_proj")


def test_an_unknown_architecture_says_what_to_add_and_where():
    model = made("llama")
    model.config.model_type = "mamba"
    with pytest.raises(UserError, match="architecture 'mamba'") as error:
        anatomy(model)
    assert "PLACES in unlearnkit/models/anatomy.py" in error.value.fix
