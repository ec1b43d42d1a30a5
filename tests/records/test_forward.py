"""Scores of given answers against a plain log_softmax, one example at a time."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from unlearnkit.models import tiny
from unlearnkit.models.layout import Piece
from unlearnkit.records.forward import _deviations, free_text, score

EXAMPLES = [
    ((5, 6, 7), (8, 9, 2)),
    ((5, 6, 7), (10, 2)),
    ((1,), (2,)),
    ((1,), (40, 41, 42, 43, 44, 2)),
    ((20, 21), (22,)),
    ((5, 6, 7), (8, 9, 2)),
]


def plain(model, prompt, response):
    """Token by token, from the probabilities themselves."""
    with torch.no_grad():
        probabilities = model(input_ids=torch.tensor([prompt + response])).logits[0].double().softmax(-1)
    rows = probabilities[len(prompt) - 1 : -1]
    return (
        [row[token].log().item() for row, token in zip(rows, response, strict=True)],
        [row.argmax().item() == token for row, token in zip(rows, response, strict=True)],
    )


def test_equals_plain(full_model, tiny_folder):
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    ids = [5, 6, 7]
    with torch.no_grad():  # an answer that argmax hits
        ids += [model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item()]
    examples = [*EXAMPLES, (tuple(ids[:3]), (ids[3], 2))]
    scores = score(full_model.model, examples)
    for found, example in zip(scores, examples, strict=True):
        log_probs, hits = plain(model, *example)
        assert found.log_probs == pytest.approx(log_probs, abs=1e-5)
        assert found.hits == hits
    assert scores[-1].hits == [True, False]


def test_deviations_equal_plain(full_model, tiny_folder, monkeypatch):
    monkeypatch.setattr("unlearnkit.records.forward.AT_ONCE", 2)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    for found, (prompt, answer) in zip(score(full_model.model, EXAMPLES, deviations=True), EXAMPLES, strict=True):
        with torch.no_grad():
            shares = model(input_ids=torch.tensor([prompt + answer])).logits[0].double().softmax(-1)
        wanted = []
        for row, token in zip(shares[len(prompt) - 1 : -1], answer, strict=True):
            mean = (row * row.log()).sum()
            wanted.append(((row[token].log() - mean) / ((row * row.log() ** 2).sum() - mean**2).sqrt()).item())
        assert found.deviations == pytest.approx(wanted, abs=1e-4)
    assert all(found.deviations == [] for found in score(full_model.model, EXAMPLES))


def test_a_token_that_is_masked_out_deviates_by_a_number():
    logits = torch.tensor([[0.0, 1.0, -math.inf]])
    assert torch.isfinite(_deviations(logits, logits.log_softmax(-1)[:, 0])).all()


@pytest.mark.parametrize("tokens_a_row", [1, 7, 12])
def test_tokens_a_row_does_not_matter(full_model, tokens_a_row):
    expected = score(full_model.model, EXAMPLES)
    for found, wanted in zip(score(full_model.model, EXAMPLES, tokens_a_row), expected, strict=True):
        assert found.log_probs == pytest.approx(wanted.log_probs, abs=1e-5)
        assert found.hits == wanted.hits


def test_order_follows_the_examples(full_model):
    forwards, backwards = score(full_model.model, EXAMPLES, 9), score(full_model.model, EXAMPLES[::-1], 9)
    for one, two in zip(forwards, backwards[::-1], strict=True):
        assert one.log_probs == pytest.approx(two.log_probs, abs=1e-5)


def test_nothing_to_score(full_model):
    assert score(full_model.model, []) == []


@pytest.mark.parametrize(
    ("text", "ended", "expected"),
    [
        ("Hi", True, (42, 75, 2)),
        ("Hi", False, (42, 75)),
        ("", True, (2,)),
        ("", False, (2,)),  # even nothing has a probability: that of ending at once
        ("HiHiHiHi", True, (42, 75, 42, 75, 2)),
        ("HiHiHiHi", False, (42, 75, 42, 75)),
    ],
)
def test_free_text(text, ended, expected):
    assert free_text(tiny.tokenizer(), text, ended, max_length=6) == ((1,), expected)


def test_free_text_without_a_start_token():
    tokenizer = tiny.tokenizer()
    tokenizer.bos_token = None
    assert free_text(tokenizer, "Hi", True, 64) == ((2,), (42, 75, 2))


def test_an_empty_response_scores_the_end_token(full_model):
    found = score(full_model.model, [free_text(full_model.tokenizer, "", False, 1024)])[0]
    with torch.no_grad():
        expected = full_model.model(input_ids=torch.tensor([[1]])).logits[0, 0].log_softmax(-1)[2].item()
    assert found.log_probs == pytest.approx([expected], abs=1e-5)


def test_free_texts_get_pieces_of_their_own(full_model):
    seen = []
    full_model.model.register_forward_pre_hook(
        lambda _, args, inputs: seen.extend(inputs["layout"].pieces), with_kwargs=True
    )
    score(full_model.model, [((1,), (42, 75, 2)), ((1,), (43, 2))])  # both after the start token alone
    assert seen == [Piece(0, 3), Piece(3, 5)]
