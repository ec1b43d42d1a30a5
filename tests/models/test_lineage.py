"""The three states of a model's weights, whatever is trained of them: against copies that were taken when they held."""

import copy

import pytest
import torch
from lineages import (
    AND_MERGED,
    ARCHITECTURES,
    EVERY,
    FULL,
    MERGED,
    close,
    learn,
    loaded,
    logits,
    sampled,
    seen,
    settings,
    taught,
)
from peft import PeftModel


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", EVERY)
def test_the_states_of_what_was_never_taught(name, kind, folders):
    model = loaded(folders[kind], settings(name, kind))
    first = logits(model.model)
    model.weights.make_trainable()
    close(logits(model.model), first)  # nothing is learnt yet
    learnt = learn(model)
    assert (learnt - first).abs().max() > 1e-2
    found = seen(model)
    close(found["loaded"], first)
    close(found["start"], first)
    close(found["current"], learnt)
    close(logits(model.model), learnt)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", AND_MERGED)
def test_the_states_of_what_was_taught(name, kind, folders, tmp_path):
    lora = settings("plain" if name == MERGED else name, kind)
    model, first, second = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    close(logits(model.model), second, 1e-5 if name == MERGED else 1e-6)
    second = logits(model.model)
    learnt = learn(model)
    assert (learnt - second).abs().max() > 1e-2
    found = seen(model)
    close(found["loaded"], first)
    close(found["start"], second)
    close(found["current"], learnt)


@pytest.mark.parametrize("before", sampled(["untaught", "taught"]))
@pytest.mark.parametrize("name", AND_MERGED)
@pytest.mark.parametrize("kind", sampled(["llama", "qwen2"]))
def test_a_reference_of_a_training(name, kind, before, folders, tmp_path):
    if before == "untaught" and name == MERGED:
        pytest.skip("merged is taught")
    lora = settings("plain" if name == MERGED else name, kind)
    if before == "taught":
        model, first, second = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
        second = logits(model.model)
    else:
        model = loaded(folders[kind], lora)
        first = second = logits(model.model)
    model.weights.make_trainable()
    references = {state: model.weights.reference(state, torch.float32) for state in ("start", "loaded")}
    learnt = learn(model)
    flags = [parameter.requires_grad for parameter in model.model.parameters()]
    for state, expected in (("start", second), ("loaded", first)):
        reference = references[state]
        if reference.frozen is not None:
            close(logits(reference.frozen), expected)
            assert not any(parameter.requires_grad for parameter in reference.frozen.parameters())
        else:
            with reference.switch(model.model):
                close(logits(model.model), expected)
    close(logits(model.model), learnt)
    assert [parameter.requires_grad for parameter in model.model.parameters()] == flags


@pytest.mark.parametrize("name", ["plain", "modules to save", FULL])
def test_a_second_training_compares_with_the_runs_start(name, folders):
    """The reference of a second training stage is the start of the run, under LoRA and full weights alike."""
    model = loaded(folders["llama"], settings(name))
    first = logits(model.model)
    learn(model, seed=1)
    model.weights.make_trainable()
    reference = model.weights.reference("start", torch.float32)
    learn(model, seed=2)
    if reference.frozen is not None:
        close(logits(reference.frozen), first)
    else:
        with reference.switch(model.model):
            close(logits(model.model), first)


def effective(model):
    """Name in the bare network -> the weight that base and adapter make together."""
    network = copy.deepcopy(model)
    if isinstance(network, PeftModel):
        ends = network.get_base_model().get_input_embeddings(), network.get_base_model().get_output_embeddings()
        inner = [getattr(end, "base_layer", getattr(end, "original_module", end)) for end in ends]
        if inner[0].weight is inner[1].weight:
            inner[1].weight = torch.nn.Parameter(inner[1].weight.detach().clone())
        network = network.merge_and_unload()
    return {name: weight.detach().clone() for name, weight in network.named_parameters(remove_duplicate=False)}


@pytest.mark.parametrize("before", sampled(["untaught", "taught"]))
@pytest.mark.parametrize("scale", sampled([0.0, 1.0, 0.4]))
@pytest.mark.parametrize("kind", sampled(["llama", "qwen2"]))
@pytest.mark.parametrize("name", AND_MERGED)
def test_negation(name, kind, scale, before, folders, tmp_path):
    """theta = theta_start - scale * (theta_bad - theta_start) in the effective weights; scale 0 is the start."""
    if before == "untaught" and name == MERGED:
        pytest.skip("merged is taught")
    lora = settings("plain" if name == MERGED else name, kind)
    if before == "taught":
        model, first, _ = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    else:
        model = loaded(folders[kind], lora)
        first = logits(model.model)
    start, at_start = effective(model.model), logits(model.model)
    model.weights.keep_start(tmp_path / "kept")
    learnt = learn(model)
    bad = effective(model.model)
    with model.weights.negated(scale, tmp_path / "kept") as weights:
        previewed = logits(weights.network)
    close(logits(model.model), learnt)
    model.weights.negate(scale, tmp_path / "kept")
    found = effective(model.model)
    for weight, value in found.items():
        theta = start.get(weight, start.get("model.embed_tokens.weight"))
        close(value, theta - scale * (bad[weight] - theta), 1e-5)
    close(logits(model.model), previewed)
    if scale == 0:
        close(logits(model.model), at_start)
    states = seen(model)
    close(states["start"], at_start)
    close(states["loaded"], first)
