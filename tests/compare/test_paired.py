"""Paired differences against the whole distribution of a bootstrap, and tests by hand."""

import itertools
import math

import numpy as np
import pytest
from compared import MEASURES, record, write_run
from scipy.stats import binom

from unlearnkit.compare import compare
from unlearnkit.compare.paired import bootstrap, of_prompts, score_interval


def every_mean(differences):
    """Of all n ** n samples."""
    return [sum(drawn) / len(drawn) for drawn in itertools.product(differences, repeat=len(differences))]


@pytest.mark.parametrize("differences", [[1.0, 2.0, 4.0, 8.0], [-3.0, 0.5, 0.0, 2.5, 1.0], [0.25, -0.5]])
def test_the_bootstrap_is_that_of_all_samples(differences):
    """10,000 draws meet a quantile of 2.5 % to half a percent, three times their standard error."""
    means = every_mean(differences)
    least, below, above, most = np.quantile(means, (0.02, 0.03, 0.97, 0.98), method="inverted_cdf")
    low, high = bootstrap(differences)
    assert least <= low <= below and above <= high <= most
    assert (low, high) == bootstrap(differences)


def test_yes_and_no_by_the_binomial_distribution():
    """Of 40 prompts 10 differ, all one way: the count of a resample is binomial, of 40 with 1 / 4."""
    low, high = binom.ppf((0.025, 0.975), 40, 0.25) / 40
    assert (low, high) == (0.125, 0.4)
    assert bootstrap([1.0] * 10 + [0.0] * 30) == pytest.approx((low, high), abs=1e-9)


def test_what_never_differs_and_one_prompt():
    assert bootstrap([0.0] * 7) == (0.0, 0.0)
    assert all(map(math.isnan, bootstrap([0.5]))), "one prompt says nothing of others"
    assert of_prompts([0.0] * 7).p == of_prompts([1.0]).p == 1.0


def test_where_all_prompts_differ_alike_there_is_width():
    """Of 12 prompts none changed: z^2 / (12 + z^2) one way or the other."""
    found = of_prompts([0.0] * 12, span=1.0)
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -0.24250, 0.24250), abs=1e-5)
    assert of_prompts([1.0] * 12, span=1.0).high == 1.0
    assert all(map(math.isnan, (of_prompts([0.5] * 3).low, of_prompts([0.5] * 3).high)))


@pytest.mark.parametrize(
    ("up", "down", "n", "low", "high"),
    [
        (12, 2, 50, 0.0611, 0.3447),  # the example of Tango 1998
        (1, 0, 60, -0.0445, 0.0886),
        (0, 1, 60, -0.0886, 0.0445),
        (60, 0, 60, 0.8797, 1.0),
    ],
)
def test_outcomes_of_0_and_1_have_a_score_interval(up, down, n, low, high):
    found = of_prompts([1.0] * up + [-1.0] * down + [0.0] * (n - up - down))
    assert (found.value, found.low, found.high) == pytest.approx(((up - down) / n, low, high), abs=1e-4)


def test_it_covers_where_a_bootstrap_does_not():
    """Of 60 pairs each differs with a chance of 1 %, always the same way; over all counts that can come of it."""
    chances = binom.pmf(range(61), 60, 0.01)
    within = {}
    for name, ends in {"score": lambda up: score_interval(up, 0, 60), "bootstrap": drawn}.items():
        bounds = [ends(up) for up in range(8)]
        within[name] = sum(chances[up] for up, (low, high) in enumerate(bounds) if low <= 0.01 <= high)
    assert within["score"] > 0.99 and within["bootstrap"] < 0.5


def drawn(up):
    return bootstrap([1.0] * up + [0.0] * (60 - up), draws=2000)


def test_of_a_large_set_in_pieces():
    """Drawn in several goes: the interval is the normal one of 300,000 fair coins."""
    data = [1.0, 0.0] * 150_000
    half = 1.96 * 0.5 / math.sqrt(len(data))
    assert bootstrap(data, draws=400) == pytest.approx((0.5 - half, 0.5 + half), abs=0.3 * half)


def test_a_rate_by_hand(tmp_path):
    """9 of 20 prompts differ, 8 of them one way: McNemar's p is 2 (1 + 9) / 2 ** 9."""
    one = [True] * 8 + [False] + [True] * 5 + [False] * 6
    other = [False] * 8 + [True] + [True] * 5 + [False] * 6
    a = write_run(tmp_path / "a", "ga", [record(n, harmful) for n, harmful in enumerate(one)])
    b = write_run(tmp_path / "b", "npo", [record(n, harmful) for n, harmful in enumerate(other)])
    (pair,) = compare([a, b]).pairs
    (line,) = pair.lines
    assert line.title == "safety/unlearned/harmful_rate"
    assert (line.first.value, line.other.value) == (13 / 20, 6 / 20)
    told = line.difference
    assert (told.value, told.n, told.ratio) == (pytest.approx(-7 / 20), 20, False)
    assert told.p == line.adjusted == pytest.approx(20 / 512)
    assert line.verdict("A", "B") == "B better"
    assert told.low < -7 / 20 < told.high < 0


def test_perplexities_are_a_ratio(tmp_path):
    """Nats 1, 2, 3 and 2, 3, 4: e times as surprising on every prompt, of which the test has seen three."""
    a = write_run(tmp_path / "a", "ga", [record(n, nats=n + 1) for n in range(3)])
    b = write_run(tmp_path / "b", "npo", [record(n, nats=n + 2) for n in range(3)])
    (line,) = compare([a, b]).pairs[0].lines
    told = line.difference
    assert told.ratio and told.value == pytest.approx(math.e)
    assert math.isnan(told.low) and math.isnan(told.high), "what does not vary says nothing of others"
    assert told.p == pytest.approx(0.25)  # all signs alike: 2 of 8
    assert line.verdict("A", "B") == ""


def test_holm_over_the_measures(tmp_path):
    """6 flips one way are p = 1 / 32, and perplexities that differ as often p = 1: the smaller is doubled."""
    a = write_run(tmp_path / "a", "ga", [record(n, True, 1) for n in range(6)])
    b = write_run(tmp_path / "b", "npo", [record(n, False, 1) for n in range(6)])
    rate, perplexity = compare([a, b]).pairs[0].lines
    assert (rate.difference.p, rate.adjusted) == (1 / 32, 1 / 16)
    assert (perplexity.difference.p, perplexity.adjusted) == (1.0, 1.0)
    assert rate.verdict("A", "B") == ""


def test_only_prompts_that_both_have_a_value_of(tmp_path):
    """The third is not judged in one run, the fourth in the other; samples of a prompt are averaged first."""
    verdicts = [(True, False), (False, False), (None, True), (True, None)]
    a = [record(n, one) for n, (one, _) in enumerate(verdicts)]
    b = [record(n, other) for n, (_, other) in enumerate(verdicts)]
    a.append(record(0, False, sample=1))
    a, b = write_run(tmp_path / "a", "ga", a), write_run(tmp_path / "b", "npo", b)
    (line,) = compare([a, b]).pairs[0].lines
    assert (line.difference.n, line.difference.value) == (2, -0.25)  # (1/2 -> 0, 0 -> 0)


def test_measured_otherwise_is_no_difference(tmp_path):
    rows = [record(n, True, 1) for n in range(3)]
    a = write_run(tmp_path / "a", "ga", rows)
    other = {**MEASURES, "perplexity": {"_target_": "unlearnkit.measures.AnswerPerplexity"}}
    gone = {**MEASURES, "perplexity": {"_target_": "a_users_own.Perplexity"}}
    b = write_run(tmp_path / "b", "npo", rows, measures=other)
    c, d = (write_run(tmp_path / name, "npo", rows, measures=gone) for name in "cd")
    for pair in (*compare([a, b]).pairs, *compare([c, d]).pairs):
        assert [line.difference is None for line in pair.lines] == [False, True]
        assert pair.lines[0].adjusted == 1.0 and pair.lines[1].adjusted is None
