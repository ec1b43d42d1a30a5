"""Perplexity by hand."""

import math
import warnings

import pytest

from unlearnkit.measures.perplexity import AnswerPerplexity, Perplexity
from unlearnkit.records.record import Record

LN2 = math.log(2)


def records(*log_probs):
    return [Record("unlearned", str(n), "p", reference_log_probs=list(row)) for n, row in enumerate(log_probs)]


def test_one_response():
    found = Perplexity()(records([-LN2, -3 * LN2]), seed=4)
    assert found.value == pytest.approx(4) and math.isnan(found.low) and math.isnan(found.high)
    assert (found.n, found.seed) == (1, 4)


def test_each_response_counts_once_however_long():
    # surprises ln 2 and ln 8, so exp of their mean is 4; by tokens it would be 2 ** (5 / 3)
    found = Perplexity()(records([-LN2, -LN2], [-3 * LN2]))
    assert found.value == pytest.approx(4)
    half = 12.706204736432095 * LN2  # t(0.975, 1) * s / sqrt(2), s being ln 2 * sqrt(2)
    assert (found.low, found.high) == pytest.approx((1, 4 * math.exp(half)))
    assert found.n == 2


def test_responses_without_log_probs_are_left_out():
    found = Perplexity()(records([-LN2], []))
    assert (found.value, found.n) == (pytest.approx(2), 1)


def test_nothing_to_measure():
    assert math.isnan(Perplexity()([]).value)


def test_a_diverged_model_is_a_number():
    assert Perplexity()(records([-50.0], [-50.0])).value == pytest.approx(5.184705528587072e21)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Perplexity()(records([-2000.0], [-1000.0])).value == pytest.approx(1.7976931348623157e308)


def test_answer_perplexity_reads_the_answers():
    rows = [
        Record("unlearned", "1", "p", reference_log_probs=[-9.0], answer_log_probs=[-LN2, -LN2]),
        Record("unlearned", "2", "p", reference_log_probs=[-9.0], answer_log_probs=[-3 * LN2]),
        Record("unlearned", "3", "p", reference_log_probs=[-9.0]),
    ]
    found = AnswerPerplexity()(rows)
    assert (found.value, found.n) == (pytest.approx(4), 2)
