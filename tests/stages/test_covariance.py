"""Second moments of keys against numpy on one piece at a time, their cache, and how their error falls."""

import math

import numpy as np
import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.models import tiny
from unlearnkit.models.anatomy import anatomy
from unlearnkit.stages import covariance
from unlearnkit.stages.covariance import Text, compute, key_moments

TEXTS = [f"The {word} of {n} stands by the river, and nobody knows why." for n in range(6) for word in ("tower", "sea")]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(TEXTS))
    return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty one, but with the models in it."""
    made = tiny.load()
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tiny, "load", lambda **settings: made)


def plain_keys(model, corpus_texts, length, layer):
    """text -> (tokens, d_k) keys, the start token's first, one piece after another."""
    found = []
    module = anatomy(model.model)[layer].value_vectors
    hook = module.register_forward_pre_hook(lambda module, args: found.append(args[0][0].double().numpy()))
    for text in corpus_texts:
        ids = model.tokenizer(text)["input_ids"]
        for start in range(0, len(ids), length):
            with torch.no_grad():
                model.model(torch.tensor([[1, *ids[start : start + length]]]), use_cache=False)
    hook.remove()
    return found


def test_equals_numpy(corpus):
    model = tiny.load()
    text = Text(corpus, length=40)
    total = sum(len(model.tokenizer(part)["input_ids"]) for part in TEXTS)
    moments = compute(model, [0, 1], text, tokens=total)
    for layer in (0, 1):
        keys = np.concatenate(plain_keys(model, TEXTS, 40, layer))
        np.testing.assert_allclose(moments[layer].matrix, keys.T @ keys / len(keys), atol=1e-7)
        assert moments[layer].tokens == len(keys) and moments[layer].matrix.dtype == torch.float64
        halves = [np.concatenate([k[1:] for k in plain_keys(model, TEXTS[half::2], 40, layer)]) for half in (0, 1)]
        first, second = (half.T @ half / len(half) for half in halves)
        both = np.concatenate(halves)
        expected = np.linalg.norm(first - second) / 2 / np.linalg.norm(both.T @ both / len(both))
        assert moments[layer].error == pytest.approx(expected, rel=1e-4)


def test_no_more_tokens_than_asked_for(corpus):
    assert compute(tiny.load(), [0], Text(corpus, length=30), tokens=100)[0].tokens == 100 + 4  # and four starts


def test_kept_by_model_text_and_layer(corpus, monkeypatch):
    model, calls = tiny.load(), []
    real = covariance.compute
    monkeypatch.setattr(covariance, "compute", lambda m, layers, *rest: calls.append(layers) or real(m, layers, *rest))
    first = key_moments(model, [0], Text(corpus, tokens=300))
    again = key_moments(model, [0, 1], Text(corpus, tokens=300))
    assert calls == [[0], [1]] and torch.equal(first[0].matrix, again[0].matrix) and first[0].error == again[0].error
    key_moments(model, [0], Text(corpus, tokens=200))
    key_moments(model, [0], Text(corpus, tokens=300, length=64))
    assert len(calls) == 4
    with open(corpus, "a") as file:
        file.write("\n\nMore of it.")
    key_moments(model, [0], Text(corpus, tokens=300))
    assert len(calls) == 5


def test_samples_are_drawn_by_seed_and_the_error_falls_with_their_number():
    model = tiny.load()
    errors = [compute(model, [0], Text(tokens=n, length=32), n)[0].error for n in (400, 6400)]
    assert errors[1] < errors[0] / 2  # by four, were the halves' difference not itself random
    one, two, other = (compute(model, [0], Text(seed=seed, length=32), 200)[0].matrix for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_the_embedded_text_is_enough_for_a_small_model():
    moment = key_moments(tiny.load(), [1], Text("embedded"))[1]
    assert moment.tokens > 640 and 0 < moment.error < 0.2
    torch.linalg.cholesky(moment.matrix + 1e-12 * torch.eye(64))


def test_the_base_is_measured_whatever_was_edited(corpus):
    model = tiny.load()
    expected = compute(model, [1], Text(corpus), 300)[1].matrix
    weight = anatomy(model.model)[0].value_vectors.weight
    model.weights.edit(weight, weight)
    weight.data.mul_(3)
    assert torch.equal(compute(model, [1], Text(corpus), 300)[1].matrix, expected)


def test_of_a_single_text_no_error_is_known(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("All of it is one text, " * 10)
    assert math.isnan(compute(tiny.load(), [0], Text(str(path)), 200)[0].error)


@pytest.mark.parametrize(("content", "what"), [("", "."), ("Too short.", "gave 10 tokens; keys 64 wide need")])
def test_too_little_text(tmp_path, content, what):
    path = tmp_path / "little.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=what):
        compute(tiny.load(), [0], Text(str(path)), 200)


def test_no_such_corpus():
    with pytest.raises(UserError, match="nowhere"):
        key_moments(tiny.load(), [0], Text("/nowhere/at/all.txt"))
