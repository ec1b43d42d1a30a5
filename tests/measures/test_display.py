import json
import math

import pytest

from unlearnkit.measures import HarmfulRate, HarmonicMean, Perplexity, Similarity, Success
from unlearnkit.measures.display import (
    Display,
    arrow,
    display_from,
    only_in_figures,
    rank,
    show_interval,
    show_value,
    usual,
    written,
)
from unlearnkit.measures.seeds import Scale

SHOWN = {
    "harmful_rate": HarmfulRate().display("forget"),
    "perplexity": Perplexity().display("forget"),
    "similarity": Similarity().display("retain"),
    "refusal_rate": usual("refusal_rate"),
    "unheard_of": usual("unheard_of"),
}


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("harmful_rate", 0.55, "55.0%"),
        ("harmful_rate", 0.0, "0.0%"),
        ("harmful_rate", -0.0001, "0.0%"),
        ("harmful_rate", math.nan, "nan"),
        ("refusal_rate", 0.125, "12.5%"),  # not listed: a rate by its name
        ("perplexity", 18.5, "18.50"),
        ("perplexity", 999.99, "999.99"),
        ("perplexity", 999.999, "1.0e+03"),  # rounds to four digits
        ("perplexity", 123456.0, "1.2e+05"),
        ("perplexity", 1e10, "1.0e+10"),
        ("perplexity", 1.1e10, ">1e10"),
        ("perplexity", math.inf, ">1e10"),
        ("perplexity", -math.inf, "<-1e10"),
        ("similarity", 0.8531, "0.853"),
        ("similarity", -1.296, "-1.296"),
        ("similarity", -0.0, "0.000"),
        ("similarity", 0.00012, "1.2e-04"),
        ("similarity", None, "-"),
        ("unheard_of", 2.5, "2.500"),
    ],
)
def test_show_value(metric, value, shown):
    assert show_value(SHOWN[metric], value) == shown


def test_show_interval():
    assert show_interval(SHOWN["harmful_rate"], 0.4, 0.7) == "[40.0%, 70.0%]"
    assert show_interval(SHOWN["perplexity"], 12.0, math.inf) == "[12.00, >1e10]"
    assert show_interval(SHOWN["perplexity"], math.nan, math.nan) == ""
    assert show_interval(SHOWN["perplexity"], None, 1.0) == ""


def test_arrow():
    names = ("harmful_rate", "perplexity", "similarity", "unheard_of")
    assert [arrow(SHOWN[name]) for name in names] == ["↓", "↓", "↑", ""]


@pytest.mark.parametrize(
    ("metric", "values", "ranks"),
    [
        ("perplexity", [20.0, 10.0, 30.0], [2, 1, 3]),
        ("similarity", [0.2, 0.9, 0.5], [3, 1, 2]),
        ("perplexity", [10.0, 10.001, 20.0], [1, 1, 2]),  # shown alike, so alike
        ("perplexity", [1e12, math.inf, 5.0], [2, 2, 1]),
        ("perplexity", [math.nan, None, 7.0], [None, None, 1]),
        ("unheard_of", [1.0, 2.0], [None, None]),
        ("perplexity", [], []),
    ],
)
def test_rank(metric, values, ranks):
    assert rank(SHOWN[metric], values) == ranks


def test_rank_of_printed_numbers_ties_only_what_is_equal():
    assert rank(Success().display("forget"), [0.9992, 0.9987]) == [1, 1]  # both shown as 99.9%
    assert rank(Success().display("forget"), [99.92, 99.87], lambda display, value: value) == [1, 2]


def test_krs_by_layer_is_for_figures():
    assert only_in_figures("layer_07") and not only_in_figures("peak") and not only_in_figures("layers")


@pytest.mark.parametrize(
    "display",
    [
        *SHOWN.values(),
        Similarity(bounds=None).display("general"),
        HarmonicMean({"retain": "success"}).display(None),
        usual("peak"),
        usual("seconds_a_step"),
    ],
)
def test_a_display_comes_back_from_json(display):
    assert display_from(json.loads(json.dumps(written(display), allow_nan=False))) == display


def test_a_display_as_metrics_json_has_it():
    assert written(Display("lower", decimals=2, scale=Scale(0.0, geometric=True), role="forget")) == {
        "better": "lower",
        "rate": False,
        "decimals": 2,
        "scale": {"low": 0.0, "high": None, "geometric": True},
        "role": "forget",
    }
