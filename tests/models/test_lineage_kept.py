"""What is written of a lineage, to be read by others or gone on with."""

import pytest
from lineages import (
    AND_MERGED,
    ARCHITECTURES,
    MERGED,
    close,
    learn,
    loaded,
    logits,
    read,
    sampled,
    seen,
    settings,
    taught,
)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", AND_MERGED)
def test_what_is_saved_is_what_was_measured(name, kind, folders, tmp_path):
    """Through plain transformers and PEFT, over the base that the adapter names."""
    lora = settings("plain" if name == MERGED else name, kind)
    model, _, _ = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    learnt = learn(model)
    model.save(tmp_path / "model")
    close(logits(read(tmp_path / "model")), learnt, 1e-5)


@pytest.mark.parametrize("name", AND_MERGED)
@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("kind", sampled(["llama", "opt"]))
def test_saved_after_negation_and_an_edit(name, negated, kind, folders, tmp_path):
    lora = settings("plain" if name == MERGED else name, kind)
    model, first, _ = taught(folders[kind], lora, tmp_path, merge=name == MERGED)
    at_start = logits(model.model)
    model.weights.keep_start(tmp_path / "kept")
    learn(model)
    if negated:
        model.weights.negate(1.0, tmp_path / "kept")
    ends = ("down_proj.weight", "fc2.weight", "down_proj.base_layer.weight", "fc2.base_layer.weight")
    edited = next(p for name, p in model.weights.bare.named_parameters() if name.endswith(ends))
    model.weights.edit(edited, edited + 0.1)
    states = seen(model)
    close(states["start"], at_start)
    close(states["loaded"], first)
    model.save(tmp_path / "model")
    close(logits(read(tmp_path / "model")), states["current"], 1e-5)


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("before", sampled(["untaught", "taught"]))
@pytest.mark.parametrize("name", AND_MERGED)
def test_kept_and_restored(name, before, negated, folders, tmp_path):
    """What a killed run goes on from is what it had, in all three states, and what is trainable."""
    if before == "untaught" and name == MERGED:
        pytest.skip("merged is taught")
    lora, merge = settings("plain" if name == MERGED else name), name == MERGED

    def begun():
        if before == "taught":
            return taught(folders["llama"], lora, tmp_path, merge)[0]
        return loaded(folders["llama"], lora)

    model = begun()
    model.weights.keep_start(tmp_path / "kept")
    learn(model)
    if negated:
        model.weights.negate(0.5, tmp_path / "kept")
    what, tensors = model.weights.keep()
    tensors = {key: value.detach().clone() for key, value in tensors.items()}
    other = begun()
    other.weights.restore(what, tensors)
    for state, expected in seen(model).items():
        with other.state(state) as network:
            close(logits(network), expected)
    flags = {name: parameter.requires_grad for name, parameter in model.model.named_parameters()}
    assert {name: parameter.requires_grad for name, parameter in other.model.named_parameters()} == flags
