"""Which run a difference speaks for."""

import pytest

from unlearnkit.compare.comparison import Line
from unlearnkit.compare.paired import Difference
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import Display
from unlearnkit.measures.interval import Estimate

NUMBER = Estimate(0.5, 0.4, 0.6, 10, 0)


def line(better, value, ratio=False, adjusted=0.01):
    column = Column(("safety", "unseen", "rate"), Display(better))
    told = None if value is None else Difference(value, value, value, 10, ratio, 0.01)
    return Line(column, NUMBER, NUMBER, told, adjusted)


@pytest.mark.parametrize(
    ("better", "value", "ratio", "adjusted", "said"),
    [
        ("lower", -0.1, False, 0.01, "B better"),
        ("lower", 0.1, False, 0.01, "A better"),
        ("higher", 0.1, False, 0.01, "B better"),
        ("higher", -0.1, False, 0.01, "A better"),
        ("lower", 0.9, True, 0.01, "B better"),  # a ratio below 1 is less
        ("lower", 1.1, True, 0.01, "A better"),
        (None, 0.1, False, 0.01, "differs"),
        ("lower", -0.1, False, 0.05, ""),  # it may be chance
        ("lower", -0.1, False, None, ""),
        ("lower", None, False, None, ""),
    ],
)
def test_a_verdict(better, value, ratio, adjusted, said):
    assert line(better, value, ratio, adjusted).verdict("A", "B") == said


def test_a_lines_title():
    assert line("lower", 0.1).title == "safety/unseen/rate"
