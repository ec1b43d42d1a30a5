"""Samples of one prompt are one observation."""

from unlearnkit.measures.prompts import per_prompt
from unlearnkit.records.record import Record


def test_the_mean_of_each_prompt_in_the_order_they_come():
    rows = [("s", "2", "p", 1.0), ("s", "1", "p", 0.0), ("s", "2", "p", 0.5), ("s", "1", "p", True)]
    assert per_prompt((Record(*key), value) for *key, value in rows) == [0.75, 0.5]


def test_one_id_in_two_sets_or_asked_otherwise_is_two():
    rows = [("s", "1", "p", 1.0), ("t", "1", "p", 2.0), ("s", "1", "behind a prefix: p", 3.0)]
    assert per_prompt((Record(*key), value) for *key, value in rows) == [1.0, 2.0, 3.0]


def test_of_nothing():
    assert per_prompt([]) == []
