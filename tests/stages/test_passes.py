"""What a pass gives of hidden states, and where it ends."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from unlearnkit.losses import NLL, KeepStates, Steer
from unlearnkit.models import tiny
from unlearnkit.models.anatomy import blocks
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.packing import pack
from unlearnkit.stages.passes import Passes, Reads, only_read, seen
from unlearnkit.stages.steps import Step
from unlearnkit.stages.trainer import weighted_sum

FORGET, RETAIN = [((5, 6, 7), (8, 9, 10)), ((5, 6), (11, 12))], [((5, 6, 7), (20, 21)), ((9,), (30, 31, 32, 33))]
ARCHITECTURES = ["llama", "qwen2", "gpt2", "gpt_neox", "gemma3_text", "opt", "phi3", "olmo"]


def made(architecture, layers=4):
    torch.manual_seed(0)
    config = tiny.config(architecture)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = (config.layer_types * layers)[:layers]
    model = AutoModelForCausalLM.from_config(config).eval()
    use_packed_attention(model)
    return model


def plain(model, example, number):
    """(T, d) of one example alone, by a hook on the block; all of its tokens but the last."""
    held = []
    hook = blocks(model)[number].register_forward_hook(
        lambda module, args, out: held.append((out[0] if isinstance(out, tuple) else out)[0])
    )
    model(torch.tensor([[*example[0], *example[1]]])[:, :-1])
    hook.remove()
    return held[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("layer", "number"), [(0, 0), (0.5, 2), (3, 3)])
def test_states_are_those_of_each_example_alone(architecture, layer, number):
    model = made(architecture)
    row = pack({"forget": FORGET, "retain": RETAIN})
    with torch.no_grad():
        found = seen(model, row, Reads(False, (layer,))).states[layer]
        for stream, examples in (("forget", FORGET), ("retain", RETAIN)):
            alone = [plain(model, example, number) for example in examples]
            places, sizes = row.places(stream, everywhere=True)
            torch.testing.assert_close(found[places], torch.cat(alone), atol=1e-5, rtol=1e-5)
            assert sizes == [len(part) for part in alone]
            places, sizes = row.places(stream, everywhere=False)
            last = [part[len(prompt) - 1 :] for part, (prompt, _) in zip(alone, examples, strict=True)]
            torch.testing.assert_close(found[places], torch.cat(last), atol=1e-5, rtol=1e-5)
            assert sizes == [len(response) for _, response in examples]


def calls(model):
    """How often each block and the head are entered from now on."""
    count = {}
    parts = dict(enumerate(blocks(model))) | {"head": model.get_output_embeddings()}
    for name, part in parts.items():
        count[name] = 0
        part.register_forward_pre_hook(lambda module, args, name=name: count.update({name: count[name] + 1}))
    return count


def gradients(model, terms, whole):
    passes_model = model
    step = Step(0, pack({"forget": FORGET, "retain": RETAIN}), None, {"forget": (5, 2), "retain": (6, 2)}, seed=1)
    reads = Reads.of(terms.values())
    model.zero_grad()
    weighted_sum(lambda row: seen(passes_model, row, reads, whole), terms, step, None).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
def test_an_early_end_changes_no_gradient_and_computes_no_layer_after_it(architecture):
    model = made(architecture)
    terms = {"f": Steer("forget", layer=1), "r": Steer("retain", layer=0, weight=-0.5)}
    full = gradients(model, terms, whole=True)
    count = calls(model)
    early = gradients(model, terms, whole=False)
    assert count == {0: 1, 1: 1, 2: 0, 3: 0, "head": 0}
    used = {name for name, gradient in full.items() if gradient.abs().max() > 0}
    assert used == {name for name, gradient in early.items() if gradient.abs().max() > 0}
    for name in used:
        torch.testing.assert_close(early[name], full[name], atol=1e-7, rtol=1e-5)
    assert "forward" not in vars(model)  # the next forward is the model's own
    assert model(torch.tensor([[1, 2]])).logits.shape[1] == 2


def test_logits_beside_states_go_to_the_end():
    model = made("llama")
    count = calls(model)
    gradients(model, {"f": Steer("forget", layer=1), "r": NLL("retain")}, whole=False)
    assert count == {0: 1, 1: 1, 2: 1, 3: 1, "head": 1}


def test_an_error_inside_a_forward_is_no_end(monkeypatch):
    model = made("llama")
    monkeypatch.setattr(blocks(model)[0], "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seen(model, pack({"s": FORGET}), Reads(False, (1,)))
    assert "forward" not in vars(model)


def test_what_is_not_read_is_not_trained_meanwhile():
    model = made("gpt2")
    before = {name: weight.requires_grad for name, weight in model.named_parameters()}
    with only_read(model, Reads(False, (1,))):
        idle = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert idle == {name for name in before if ".h.2." in name or ".h.3." in name or ".ln_f." in name}
    assert {name: weight.requires_grad for name, weight in model.named_parameters()} == before
    with only_read(model, Reads(True, (1,))):
        assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("adapter", [True, False])
def test_the_reference_is_the_start(adapter, lora_model, full_model):
    """KeepStates of a model that has not moved is nothing; after a change it is the mean square of the change."""
    model = lora_model if adapter else full_model
    model.weights.make_trainable()
    terms = {"keep": KeepStates("retain", layer=0)}
    passes = Passes(model, terms)
    row = pack({"retain": RETAIN})
    step = Step(0, row, row, {"retain": (6, 2)})
    value = weighted_sum(
        lambda r: passes.own(model.model, r), terms, step, lambda s, r: passes.earlier(model.model, s, r)
    )
    assert value.item() == 0
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if weight.requires_grad and ("lora_B" in name or not adapter) and ".0." in name:
                weight.add_(0.05)
    moved = weighted_sum(
        lambda r: passes.own(model.model, r), terms, step, lambda s, r: passes.earlier(model.model, s, r)
    )
    with torch.no_grad(), model.weights.start() as start:
        then = [plain(start, example, 0)[len(example[0]) - 1 :] for example in RETAIN]
    with torch.no_grad():
        now = [plain(model.model, example, 0)[len(example[0]) - 1 :] for example in RETAIN]
    expected = sum(((a - b) ** 2).mean() for a, b in zip(now, then, strict=True)) / 2
    assert moved.item() == pytest.approx(expected.item(), rel=1e-4) and moved > 1e-6


def test_under_an_adapter_the_wrapping_sees_a_whole_forward():
    model = get_peft_model(made("llama"), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    found = seen(model, pack({"s": FORGET}), Reads(False, (1,)))
    assert found.logits.shape == (0, 0) and set(found.states) == {1}
