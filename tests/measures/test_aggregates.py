"""Mem, Priv, Util and their harmonic mean, by hand."""

import math

import pytest

from unlearnkit.errors import UserError
from unlearnkit.measures import AUC, Memorisation, OfNumbers, Privacy, Utility
from unlearnkit.measures.interval import Estimate, nothing


@pytest.mark.parametrize(
    ("means", "value"),
    [
        ((0.5, 0.5, 0.5, 0.5), 0.5),
        ((0.2, 0.4, 0.0, 0.5), 4 / (1 / 0.8 + 1 / 0.6 + 1 + 1 / 0.5)),
        ((1.0, 0.0, 0.0, 0.0), 0.0),
        ((0.0, 0.0, 0.0, 0.0), 1.0),
    ],
)
def test_memorisation_is_of_what_is_left(means, value):
    found = Memorisation({"forget": ["a", "b", "c", "d"]}).of_groups([[mean] * 50 for mean in means])
    assert found.value == pytest.approx(value) and found.low <= found.value <= found.high


def test_privacy_by_hand():
    """Two scores: AUC 1 against 0.5, which is s = 0 by clipping at 1 - 1; and 0.75 against 0.5, which is 0.5."""
    members, strangers, mixed = [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0, 0.0, 9.0, 9.0]
    assert AUC("x").of_groups([members, mixed]).value == 0.5
    three_quarters = [0.5, 8.0, 9.0, 9.0]
    assert AUC("x").of_groups([members, three_quarters]).value == 0.75
    own, control = [members, members, strangers, three_quarters], [members, members, mixed, mixed]
    privacy = Privacy(["loss", "zlib"])
    assert privacy.of_groups(own, 0, control).value == 0.0
    own = [members, members, three_quarters, three_quarters]
    found = privacy.of_groups(own, 0, control)
    assert found.value == pytest.approx(0.5) and found.low <= 0.5 <= found.high
    assert privacy.of_groups(control, 0, control).value == 1.0
    assert privacy.against == "never_knew" and privacy.of == {"forget": ["loss", "zlib"], "holdout": ["loss", "zlib"]}


@pytest.mark.parametrize(("own", "value"), [(0.25, 1 / (0.5 * (1 / 0.5 + 1 / 0.75))), (0.6, 2 / (1 / 1.2 + 1 / 0.75))])
def test_utility_is_over_the_start_s(own, value):
    measure = Utility({"retain": ["p"], "world_facts": ["p"]}, fluency={"forget": "fluency"})
    start = [[0.5] * 20, [0.5] * 20, [0.8] * 20]
    found = measure.of_groups([[own] * 20, [own] * 20, [0.6] * 20], 0, start)
    assert found.value == pytest.approx(value) and found.low <= found.value <= found.high
    assert measure.of_groups(start, 0, start).value == pytest.approx(1.0)


def test_utility_without_fluency_is_its_own_ratio():
    measure = Utility({"retain": ["p", "q"]}, fluency={"retain": "fluency"})
    assert measure.of == {"retain": ["p", "q", "fluency"]}
    found = measure.of_groups([[0.25] * 9, [0.25] * 9, []], 0, [[0.5] * 9, [0.5] * 9, []])
    assert found.value == pytest.approx(0.5)
    assert measure.of_groups([[0.1], [0.1], []], 0, [[0.0], [0.5], []]).n == 0  # no ratio to a start of nothing


def test_overall_is_of_numbers():
    parts = [Estimate(0.5, 0.4, 0.6, 10), Estimate(0.25, 0.2, 0.3, 10)]
    found = OfNumbers(["a", "b"]).of_numbers(parts)
    assert (found.value, found.n) == (pytest.approx(2 / (2 + 4)), 20)
    assert found.low == pytest.approx(2 / (1 / 0.4 + 1 / 0.2)) and found.high == pytest.approx(2 / (1 / 0.6 + 1 / 0.3))
    assert OfNumbers(["a"]).of_numbers([Estimate(0.0, 0.0, 0.1, 5)]).value == 0.0
    assert OfNumbers(["a", "b"]).of_numbers([parts[0], nothing()]).n == 0
    assert OfNumbers(["a", "b"]).of_numbers([parts[0], None]).n == 0
    assert math.isnan(OfNumbers(["a"]).of_numbers([Estimate(0.5, math.nan, math.nan, 5)]).low)


def test_of_nothing():
    with pytest.raises(UserError, match="OfNumbers of nothing"):
        OfNumbers([])


def test_the_study_s_own_numbers_agree_with_the_form():
    """NPO's row of the UDS study: Mem .547, Priv .875, Util .983 give .752."""
    found = OfNumbers(["m", "p", "u"]).of_numbers([Estimate(x, x, x, 1) for x in (0.547, 0.875, 0.983)])
    assert found.value == pytest.approx(0.752, abs=5e-4)
