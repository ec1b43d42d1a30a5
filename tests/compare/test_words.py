"""How differences and their chances are written."""

import pytest

from unlearnkit.compare.paired import Difference
from unlearnkit.compare.words import chance, change, number
from unlearnkit.measures.display import Display
from unlearnkit.measures.interval import Estimate

RATE, PLAIN = Display("lower", rate=True, decimals=1), Display("lower")


@pytest.mark.parametrize(
    ("display", "told", "words"),
    [
        (RATE, (0.05, -0.01, 0.11, False), ("+5.0%", "[-1.0%, +11.0%]")),
        (RATE, (-0.5, -0.75, 0.0, False), ("-50.0%", "[-75.0%, 0.0%]")),
        (PLAIN, (0.25, -0.5, 1.0, False), ("+0.250", "[-0.500, +1.000]")),
        (PLAIN, (1.25, 1.1, 1.42, True), ("×1.25", "[×1.1, ×1.42]")),
        (RATE, (0.05, float("nan"), float("nan"), False), ("+5.0%", "")),
        (PLAIN, (1.000012, 0.5, 1.0, True), ("×1.000012", "[×0.5, ×1]")),
    ],
)
def test_a_difference_has_its_sign_and_a_ratio_its_cross(display, told, words):
    value, low, high, ratio = told
    assert change(display, Difference(value, low, high, 9, ratio, 0.5)) == words


def test_no_difference():
    assert change(RATE, None) == ("-", "") and chance(None) == "-"


@pytest.mark.parametrize(("p", "words"), [(1.0, "1"), (0.0131, "0.013"), (0.001, "0.001"), (0.0009, "<0.001")])
def test_a_chance_in_two_digits(p, words):
    assert chance(p) == words


def test_a_number_and_its_interval():
    assert number(RATE, Estimate(0.125, 0.0625, 0.25, 8, 0)) == ("12.5%", "[6.2%, 25.0%]")
