"""Measures of measures: their bootstrap and their random signs against every case there is."""

import itertools
import math

import numpy as np
import pytest
from compared import MEASURES, record, write_run

from unlearnkit.compare import compare
from unlearnkit.compare.combined import Block, difference
from unlearnkit.measures import HarmonicMean, Mean

FIRST, OTHER = [[0.2, 0.9, 0.4]], [[0.6, 0.9, 0.8]]
SECOND, THEIRS = [[1.0, 0.5, 0.5, 0.0]], [[0.5, 0.5, 0.25, 0.5]]


def two_sets():
    """One group of each of two sets: what the other has nothing of is NaN."""
    gap = [[math.nan] * 3], [[math.nan] * 4]
    return [
        Block(np.array(FIRST + gap[0]), np.array(OTHER + gap[0])),
        Block(np.array(gap[1] + SECOND), np.array(gap[1] + THEIRS)),
    ]


def harmonic(one, two):
    return 0.0 if one <= 0 or two <= 0 else 2 / (1 / one + 1 / two)


def mean(values):
    return sum(values) / len(values)


def test_a_harmonic_mean_by_every_sample():
    found, low, high, p = difference(HarmonicMean({"a": "x", "b": "x"}), two_sets(), draws=10_000)
    assert found == pytest.approx(harmonic(2.3 / 3, 1.75 / 4) - harmonic(1.5 / 3, 2.0 / 4))
    every = [
        harmonic(mean([OTHER[0][n] for n in a]), mean([THEIRS[0][n] for n in b]))
        - harmonic(mean([FIRST[0][n] for n in a]), mean([SECOND[0][n] for n in b]))
        for a in itertools.product(range(3), repeat=3)
        for b in itertools.product(range(4), repeat=4)
    ]
    least, below, above, most = np.quantile(every, (0.02, 0.03, 0.97, 0.98), method="inverted_cdf")
    assert least <= low <= below and above <= high <= most
    places = list(zip([*FIRST[0], *SECOND[0]], [*OTHER[0], *THEIRS[0]], strict=True))
    swaps = []
    for swap in itertools.product((False, True), repeat=7):
        ours = [pair[turned] for pair, turned in zip(places, swap, strict=True)]
        theirs = [pair[not turned] for pair, turned in zip(places, swap, strict=True)]
        swaps.append(harmonic(mean(theirs[:3]), mean(theirs[3:])) - harmonic(mean(ours[:3]), mean(ours[3:])))
    assert p == pytest.approx(np.mean(np.abs(swaps) >= abs(found) - 1e-12), abs=0.015)


def test_what_never_differs():
    block = Block(np.array([[0.5, 1.0]]), np.array([[0.5, 1.0]]))
    assert difference(Mean({"a": "x"}), [block], draws=100) == (0.0, 0.0, 0.0, 1.0)


def run_of(folder, method, forget, retain):
    """With the mean of the two sets' harmful rates as a number of its own set."""
    rows = [record(n, harmful) for n, harmful in enumerate(forget)]
    rows += [record(n, harmful, set="normal") for n, harmful in enumerate(retain)]
    both = {"_target_": "unlearnkit.measures.Mean", "of": {"forget": "harmful_rate", "normal": "harmful_rate"}}
    number = {"value": (mean(forget) + mean(retain)) / 2, "low": 0.0, "high": 1.0, "n": len(rows)}
    return write_run(folder, method, rows, measures={**MEASURES, "both": both}, more={"both": {"both": number}})


def test_from_runs(tmp_path):
    a = run_of(tmp_path / "a", "ga", [True] * 6, [True, False])
    b = run_of(tmp_path / "b", "npo", [True] * 3 + [False] * 3, [True, False])
    *_, line = compare([a, b]).pairs[0].lines
    assert line.title == "safety/both/both"
    assert (line.difference.value, line.difference.n) == (-0.25, 8)
    assert line.difference.low < -0.25 < line.difference.high < 0
    assert line.difference.p == pytest.approx(0.25, abs=0.02)  # three signs alike: 2 of 8


def test_a_number_that_is_not_found_again_has_no_difference(tmp_path):
    a = run_of(tmp_path / "a", "ga", [True] * 6, [True, False])
    b = run_of(tmp_path / "b", "npo", [True] * 6, [True, False])
    path = b / "metrics.json"
    path.write_text(path.read_text().replace('"value": 0.75', '"value": 0.7'))
    *_, line = compare([a, b]).pairs[0].lines
    assert line.title == "safety/both/both" and line.difference is None
