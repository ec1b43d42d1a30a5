"""Success by hand: what argmax hits where it should, and misses where it should not; and its average over both."""

import math

import pytest

from unlearnkit.data.examples import Data
from unlearnkit.evaluations import Evaluation
from unlearnkit.measures import Mean, Success, SuccessWhole
from unlearnkit.records.record import Record


def records(name, *rows):
    """A string of 1 and 0 a record, one character a token."""
    return [Record(name, str(n), "p", answer_hits=[hit == "1" for hit in row]) for n, row in enumerate(rows)]


ROWS = records("retention", "1101", "00", "", "11")  # 3/4, 0, not measured, 1
SIDES = [(Success, "retain"), (Success, "forget"), (SuccessWhole, "retain"), (SuccessWhole, "forget")]


@pytest.mark.parametrize(
    ("measure", "role", "value"), [(*side, v) for side, v in zip(SIDES, (7 / 12, 5 / 12, 1 / 3, 2 / 3), strict=True)]
)
def test_a_record_without_hits_is_left_out(measure, role, value):
    found = measure()(ROWS, role, seed=4)
    assert (found.value, found.n, found.seed) == (pytest.approx(value), 3, 4)
    assert 0 <= found.low < found.value < found.high <= 1


@pytest.mark.parametrize("measure", [Success, SuccessWhole])
@pytest.mark.parametrize("role", ["general", "holdout", None])
def test_every_side_but_the_forgotten_is_to_be_known(measure, role):
    assert measure()(ROWS, role) == measure()(ROWS, "retain")


def test_each_answer_counts_once_however_long():
    found = Success()(records("retention", "1" * 98, "00"), "retain")
    assert found.value == 0.5  # by tokens it would be 0.98


def test_a_fact_is_known_if_argmax_hits_all_of_its_attribute():
    rows = records("edited", "11", "10", "0", "1", "")
    known, forgotten = SuccessWhole()(rows, "retain"), SuccessWhole()(rows, "forget")
    assert (known.value, known.n, forgotten.value, forgotten.n) == (0.5, 4, 0.5, 4)
    assert known.low < 0.5 < known.high
    assert SuccessWhole()(rows[:2] + rows[3:4], "retain").value == 2 / 3


def average(rows, seed=0, **roles):
    """The numbers of an evaluation of both sides; set -> role."""
    roles = roles or {"unlearn": "forget", "retention": "retain"}
    sides = {"forget": ["success"], "retain": ["success"], "both": ["average_success"]}
    measures = {"success": Success(), "average_success": Mean({"forget": "success", "retain": "success"})}
    evaluation = Evaluation(measures, sides)
    evaluation.bind("scopes", Data("made", {}, {name: {"test": []} for name in roles}, roles))
    return evaluation.compute(rows, seed)


def test_average_success_over_both_scopes():
    rows = records("unlearn", "0000", "1000") + records("retention", "11", "", "11", "10")
    found = average(rows, seed=2)
    both = found["both"]["average_success"]
    assert both["value"] == pytest.approx((7 / 8 + 5 / 6) / 2)
    assert (both["n"], both["seed"]) == (5, 2)
    parts = [found[name]["success"]["value"] for name in ("unlearn", "retention")]
    assert both["value"] == pytest.approx(sum(parts) / 2)


def test_average_success_is_of_all_sets_of_a_side():
    rows = records("gone", "00", "10") + records("kept", "11") + records("kept_near", "10") + records("world", "00")
    both = average(rows, gone="forget", kept="retain", kept_near="retain", world="general")["both"]["average_success"]
    assert (both["value"], both["n"]) == (0.75, 4)


@pytest.mark.parametrize(("measure", "role"), SIDES)
def test_nothing_to_measure(measure, role):
    for rows in ([], records("unlearn", "")):
        found = measure()(rows, role)
        assert math.isnan(found.value) and found.n == 0


def test_no_average_success_of_nothing_or_of_one_scope():
    for rows in ([], records("unlearn", ""), records("unlearn", "00"), records("retention", "11")):
        assert "both" not in average(rows)
    assert Mean({"forget": "success", "retain": "success"}).of_groups([[1.0], []]).n == 0
