"""Requests, tokens and cost."""

import pytest

from unlearnkit.build.tally import Answer, Tally
from unlearnkit.errors import UserError


def test_what_was_asked_now_and_what_was_cached():
    tally = Tally({"input": 2.0, "output": 10.0})
    tally.add(Answer("a", True, 1000, 500))
    tally.add(Answer("a", True, 1500, None))
    tally.add(Answer("a", True, 3000, 100, cached=True))
    tally.refuse()
    assert tally.line() == (
        "3 requests done, 1 of them cached; 1 answers refused; 2,500 prompt and 500 completion tokens; "
        "1 answers without a token count; cost 0.0100"
    )
    told = tally.as_dict()
    assert told["cached"] == {"requests": 1, "prompt_tokens": 3000, "completion_tokens": 100, "uncounted": 0}
    assert told["cost"] == {"this_run": pytest.approx(0.010), "all": pytest.approx(0.017)}


def test_no_price_no_cost():
    tally = Tally()
    assert "cost" not in tally.line() and tally.as_dict()["cost"] == {"this_run": None, "all": None}


@pytest.mark.parametrize("price", [{"input": 1}, 3, {"input": "a", "output": 1}, {"input": -1, "output": 1}, {}])
def test_a_bad_price(price):
    with pytest.raises(UserError, match="price_per_million"):
        Tally(price)
