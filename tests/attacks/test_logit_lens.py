"""The lens against norm and head by hand, and what it reads where it must and where it must not."""

import math

import inside
import pytest
import torch
from peft import LoraConfig, get_peft_model

from unlearnkit.attacks import LogitLens
from unlearnkit.models.anatomy import PLACES
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of


def seen(model):
    attack = inside.bound(LogitLens())
    return attack.measured_by(None).measure(model, attack.point("now"))["inside"]


@torch.no_grad()
def plainly(network, architecture, model, row):
    """exp of the mean log-probability of the answer's tokens at each layer."""
    ids, first, answer = inside.ids_of(model, row)
    states, logits = inside.plain_states(network, architecture, ids)
    norm, head = network.get_submodule(inside.PATHS[architecture][1]), network.get_output_embeddings()
    found = []
    for layer in [head(norm(state)) for state in states]:
        chosen = layer[first - 1 : -1].log_softmax(-1)[range(len(answer)), answer]
        found.append(math.exp(chosen.mean()))
    assert torch.allclose(head(norm(states[-1])), logits, atol=1e-4)
    return found


@pytest.mark.parametrize("architecture", inside.PATHS)
def test_every_layer_is_what_norm_and_head_say_of_it(architecture):
    network = inside.network(architecture)
    model = inside.model(network)
    for record, row in zip(seen(model), inside.ROWS, strict=True):
        assert record.by_layer["probability"] == pytest.approx(plainly(network, architecture, model, row), rel=1e-4)


@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_the_last_layer_is_the_model_itself(architecture):
    model = inside.model(inside.network(architecture))
    records = records_of({"forget": inside.ROWS})
    force_answers(model, records)
    for record, forced in zip(seen(model), records, strict=True):
        own = math.exp(sum(forced.answer_log_probs) / len(forced.answer_log_probs))
        assert record.by_layer["probability"][-1] == pytest.approx(own, rel=1e-4)


def test_an_adapter_is_seen_and_the_model_is_left_as_it_was():
    network = inside.network()
    plain = [record.by_layer["probability"] for record in seen(inside.model(network))]
    adapted = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["down_proj"])).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name and "layers.2." in name:
            torch.nn.init.normal_(parameter)
    first, again = (seen(inside.model(adapted)) for _ in range(2))
    for record, same, before in zip(first, again, plain, strict=True):
        assert record.by_layer == same.by_layer
        assert record.by_layer["probability"][:2] == pytest.approx(before[:2], rel=1e-5)
        assert record.by_layer["probability"][2] != pytest.approx(before[2], rel=1e-3)


def test_what_only_the_last_layer_hides_is_found_below_it_and_what_is_nowhere_is_not():
    """A network that repeats its last token knows an answer of one letter, until its last layer turns the state."""
    rows = [inside.Example(f"f{n}", "a" * (n + 2), "aaaa") for n in range(4)]
    data = inside.Data("it", {}, {"forget": {"test": rows}})
    network = inside.network()
    with torch.no_grad():
        network.get_output_embeddings().weight.copy_(network.get_input_embeddings().weight.normal_())
        for layer in network.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model = inside.model(network)
    model.template = type(model.template)(text="{prompt}", separator="", closed=False)
    attack = inside.bound(LogitLens(), data=data)

    def numbers():
        records = attack.measured_by(None).measure(model, attack.point("now"))
        return attack.measured_by(None).compute(records)["inside"]["forget"]

    assert numbers()["last"]["value"] > 0.99
    network.model.layers[2].forward = lambda hidden, *arguments, **keywords: -hidden
    hidden = numbers()
    assert hidden["last"]["value"] < 0.01 and hidden["peak"]["value"] > 0.99 and hidden["layer_01"]["value"] > 0.99
    network.model.embed_tokens.register_forward_hook(lambda module, given, out: -out)
    network.model.layers[2].forward = lambda hidden, *arguments, **keywords: hidden
    assert numbers()["peak"]["value"] < 0.01
