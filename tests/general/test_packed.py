"""Packed log-likelihoods equal one plain forward a request, and the harness's own padded ones."""

import pytest
import torch

from unlearnkit.general.packed import log_likelihoods
from unlearnkit.models import load_source, tiny
from unlearnkit.models.templates import Template

CONTEXTS = [[5, 9, 40], [7], [30, 31, 32, 33, 34, 35], [5, 9, 40, 41]]
CONTINUATIONS = [[11, 12], [11], [13, 14, 15], [11, 12, 16]]
PAIRS = [(context, continuation) for context in CONTEXTS for continuation in CONTINUATIONS] * 2


def plain(model, context, continuation, max_length):
    ids = (context + continuation)[-(max_length + 1) :]
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]])).logits[0, -len(continuation) :].log_softmax(-1)
    targets = torch.tensor(continuation)
    return float(logits[range(len(continuation)), targets].sum()), bool((logits.argmax(-1) == targets).all())


@pytest.mark.parametrize("architecture", ["llama", "opt", "gpt2", "qwen2"])
@pytest.mark.parametrize("tokens_a_row", [1, 20, 1000])
def test_equal_to_a_plain_forward(architecture, tokens_a_row, tmp_path):
    folder = tiny.write(tmp_path / "model", architecture)
    model = load_source("tiny", str(folder), "float32", None, Template()).model
    found = log_likelihoods(model, PAIRS, 1000, tokens_a_row, disable_bar=True)
    expected = [plain(model, *pair, 1000) for pair in PAIRS]
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [hit for _, hit in found] == [hit for _, hit in expected]


def test_what_argmax_says_is_a_hit(full_model):
    context = [5, 9, 40]
    with torch.no_grad():
        said = int(full_model.model(torch.tensor([context])).logits[0, -1].argmax())
    found = log_likelihoods(full_model.model, [(context, [said]), (context, [said + 1])], 100, 512, disable_bar=True)
    assert [hit for _, hit in found] == [True, False]


def test_what_is_too_long_loses_its_beginning(full_model):
    pairs = [(list(range(10, 30)), [40]), (list(range(10, 30)), [40, 41]), ([3, 4], [5])]
    found = log_likelihoods(full_model.model, pairs, 8, 512, disable_bar=True)
    expected = [plain(full_model.model, *pair, 8)[0] for pair in pairs]
    assert [value for value, _ in found] == pytest.approx(expected, abs=1e-4)


def test_a_context_is_computed_once_and_so_is_what_contexts_begin_with(full_model):
    tokens = []
    hook = full_model.model.register_forward_pre_hook(
        lambda module, args, kwargs: tokens.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    shots = list(range(10, 30))
    choices = [[40], [41], [42, 43]]
    questions = [[*shots, 50, 51, 52], [60, 61], [*shots, 53, 54]]
    pairs = [(question, choice) for question in questions for choice in choices]
    scored = log_likelihoods(full_model.model, pairs, 1000, 40, disable_bar=True)
    hook.remove()
    assert tokens == [20 + (3 + 1) + (2 + 1) + (2 + 1)]
    expected = [plain(full_model.model, *pair, 1000)[0] for pair in pairs]
    assert [value for value, _ in scored] == pytest.approx(expected, abs=1e-4)
