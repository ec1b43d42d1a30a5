"""What attacks brought back, as lines of a table."""

from unlearnkit.measures import HarmfulRate, Perplexity
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import written
from unlearnkit.runs.attacked import attacked_rows, is_attacks, short_rows

SHARE = {"value": 0.5, "low": 0.25, "high": 0.75}
RATE = {"start": 0.8, "unlearned": 0.1, "attacked": 0.45, "n": 20, "share": SHARE}
SAME = {"start": 2.0, "unlearned": 2.0, "attacked": 3.0, "never_knew": 4.0, "n": 20, "share": None}
METRICS = {
    "attacks": ["relearn"],
    "columns": {
        "safety/unlearned/harmful_rate": written(HarmfulRate().display("forget")),
        "safety/unlearned/perplexity": written(Perplexity().display("forget")),
    },
    "recovered": {"relearn": {"shares": {"safety": {"unlearned": {"perplexity": SAME, "harmful_rate": RATE}}}}},
}


def test_every_measure_is_a_line():
    first, second = attacked_rows(METRICS)
    assert (first.place, first.measure, first.share, first.n) == ("safety/unlearned", "perplexity", "", 20)
    assert first.cells[3] == "4.00" and first.cells[4] == "-"
    assert (second.cells[:3], second.share) == (["80.0%", "10.0%", "45.0%"], "50% [25%, 75%]")


def test_the_short_form_has_the_first_measure_with_a_share():
    assert [(row.attack, row.measure) for row in short_rows(METRICS)] == [("relearn", "harmful_rate")]


def test_a_column_under_an_attack():
    assert is_attacks(Column(("relearn", "safety", "unlearned", "harmful_rate")), METRICS)
    assert not is_attacks(Column(("safety", "unlearned", "harmful_rate")), METRICS)
    assert not is_attacks(Column(("shout", "safety", "unlearned", "harmful_rate")), METRICS)  # nothing to compare
    assert not is_attacks(Column(("measured", "safety", "unlearned", "harmful_rate")), METRICS)
