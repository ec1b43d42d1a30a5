"""BLEU by hand, and against sacrebleu's corpus score, which is the sentence's where there is one sentence."""

import math

import pytest
import sacrebleu

from unlearnkit.measures.bleu import Bleu
from unlearnkit.records.record import Record


def record(response, original, tokens=9, name="1"):
    return Record("target", name, "p", response=response, original=original, tokens=tokens)


@pytest.mark.parametrize(
    ("response", "original", "value"),
    [
        ("the cat", "the cat", 100),
        ("the dog", "the cat", 50),  # 1 of 2 words, and no pair: 1/2 by smoothing; sqrt(1/2 * 1/2)
        ("the", "the cat", 100 * math.exp(-1)),  # all words hit; too short: exp(1 - 2/1)
        ("the cat sat", "the cat ran", 100 * (2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3)),  # 2 of 3, 1 of 2, 0 of 1 smoothed
        ("the cat the cat", "the cat", 100 * (2 / 4 * 1 / 3 * (1 / 2 / 2) * (1 / 4 / 1)) ** (1 / 4)),  # hits clipped
        ("yes", "no", 0),
        ("", "no", 0),
        ("no", "", 0),
        ("", "", 100),
        (" a  b ", "a b", 100),
        ("Paris.", "Paris .", 100),  # the tokeniser parts the stop
        ("paris", "Paris", 0),  # case counts
    ],
)
def test_one_answer(response, original, value):
    assert Bleu()([record(response, original)]).value == pytest.approx(value)


def test_as_a_corpus_of_one():
    response = "The river that flows through Paris is the Seine, a river of the north."
    original = "The river that flows through Paris is the Seine, which ends in the Channel."
    expected = sacrebleu.corpus_bleu([response], [[original]]).score
    assert 30 < expected < 90
    assert Bleu()([record(response, original)]).value == pytest.approx(expected)


def test_mean_over_questions_with_its_interval():
    rows = [record("the cat", "the cat"), record("yes", "no", name="2"), record("not answered", "no", tokens=0)]
    found = Bleu()(rows, seed=3)
    assert (found.value, found.n, found.seed) == (50, 2, 3) and 0 <= found.low < 5 and 95 < found.high <= 100


def test_nothing_to_measure():
    found = Bleu()([])
    assert math.isnan(found.value) and found.n == 0
