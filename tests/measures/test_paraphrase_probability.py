"""The probability of an answer in other words, by hand."""

import math

import pytest

from unlearnkit.measures import ParaphraseProbability
from unlearnkit.records.record import Record

LN2 = math.log(2)


def record(*paraphrases, name="1", **others):
    return Record("asked", name, "p", alternative_log_probs={"paraphrases": list(paraphrases), **others})


def test_by_hand():
    one, two = record([-LN2, -3 * LN2]), record([-LN2], [-3 * LN2], name="2")  # 1/4; the mean of 1/2 and 1/8
    found = ParaphraseProbability()([one, two], "forget", seed=3)
    assert (found.value, found.n, found.seed) == (pytest.approx((1 / 4 + 5 / 16) / 2), 2, 3)


def test_the_own_answer_and_wrong_ones_say_nothing():
    rows = [Record("asked", "1", "p", answer_log_probs=[-1.0]), record(name="2", wrong=[[-1.0]]), record([], name="3")]
    assert ParaphraseProbability()(rows, "forget").n == 0
    assert ParaphraseProbability().reads == ("alternative_log_probs",)


def test_which_way_is_better():
    assert [ParaphraseProbability().display(role).better for role in ("forget", "retain")] == ["lower", "higher"]
