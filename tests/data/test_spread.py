"""Which rows stand for all."""

from collections import Counter
from dataclasses import dataclass

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.spread import evenly, places, spread


@dataclass
class Row:
    number: int
    category: str | None


def rows(**sizes):
    names = [name for name, size in sizes.items() for _ in range(size)]
    return [Row(number, name) for number, name in enumerate(names)]


def test_every_category_has_a_row_and_then_its_share():
    asked = rows(a=40, b=20, c=10, d=10)
    assert Counter(row.category for row in spread(asked, 4)) == dict(a=1, b=1, c=1, d=1)
    assert Counter(row.category for row in spread(asked, 8)) == dict(a=4, b=2, c=1, d=1)
    assert Counter(row.category for row in spread(asked, 40)) == dict(a=20, b=10, c=5, d=5)
    assert {row.category for row in spread(asked, 2)} == {"a", "b"}  # the largest


def test_a_larger_limit_adds_rows_and_takes_none_away():
    asked = rows(a=13, b=1, c=7, d=29)
    for limit in range(len(asked)):
        fewer, more = ({row.number for row in spread(asked, n)} for n in (limit, limit + 1))
        assert fewer < more and len(fewer) == limit


def test_rows_keep_their_order_and_without_a_category_are_evenly_taken():
    assert [row.number for row in spread([Row(n, None) for n in range(16)], 4)] == [0, 4, 8, 12]
    assert spread(list(range(100)), 4) == [0, 16, 32, 64] or len(spread(list(range(100)), 4)) == 4
    assert spread(list(range(5)), 9) == spread(list(range(5)), None) == [0, 1, 2, 3, 4]
    assert spread([], 3) == [] and spread([1, 2], 0) == []


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33, 1000])
def test_any_beginning_is_spread(count):
    order = evenly(count)
    assert sorted(order) == list(range(count))
    for taken in range(1, count, max(1, count // 7)):
        below = sum(place < count / 2 for place in order[:taken])
        assert abs(below - taken / 2) <= 2
    assert evenly(0) == []


def test_the_same_rows_every_time():
    assert places(["a", "b", "a", "b", "a"]) == [0, 1, 4, 3, 2]  # one each; then a's second of 3, b's second of 2


@pytest.mark.parametrize("limit", [9, 12, 30])
def test_the_embedded_harmful_prompts_are_of_all_kinds(limit):
    data = instantiate(composed("model=tiny").data, _convert_="all")
    for name in ("unlearned", "unseen"):
        kinds = {row.category for row in data.sets[name]["test"]}
        assert {row.category for row in spread(data.sets[name]["test"], limit)} == kinds and len(kinds) == 9
