"""A run that is compared: its config, its parts and where their records lie."""

import pytest
from compared import record, write_run

from unlearnkit.compare.sides import part_of, read_sides
from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column
from unlearnkit.measures.interval import Estimate

ONE = Estimate(1.0, 1.0, 1.0, 1, 0)


@pytest.fixture
def sides(tmp_path):
    return read_sides([write_run(tmp_path / name, "ga", [record(0, True)], seed=n) for n, name in enumerate("ab")])


def test_part_of_a_column():
    assert part_of(Column(("safety", "unseen", "rate"))) == "safety"
    assert part_of(Column(("system", "safety", "unseen", "rate"))) == "system/safety"


def test_letters_and_words(sides):
    assert [side.name for side in sides] == ["A", "B"]
    assert sides[1].description == "ga on tiny, mischief, seed 1"


def test_what_a_stage_cost_has_no_records(sides):
    sides[0].numbers[Column(("cost", "finetune", "seconds_a_step"))] = ONE
    sides[0].numbers[Column(("system", "safety", "unlearned", "harmful_rate"))] = ONE
    assert sides[0].parts == ["safety", "system/safety"]


def test_samples_of_a_row_stand_together(tmp_path):
    rows = [record(0, True), record(1, True), record(0, True, sample=1), record(0, True, set="normal")]
    (side, _) = read_sides([write_run(tmp_path / name, "ga", rows) for name in "ab"])
    found = side.rows("safety")
    key = ("f0", "Ask 0?", "Say 0.")
    assert {name: {row: len(own) for row, own in held.items()} for name, held in found.items()} == {
        "unlearned": {key: 2, ("f1", "Ask 1?", "Say 1."): 1},
        "normal": {key: 1},
    }


@pytest.mark.parametrize("held", [None, "", "- seed: 1\n", "{"])
def test_a_config_that_is_none(sides, held):
    path = sides[0].run.folder / "config.yaml"
    path.unlink() if held is None else path.write_text(held)
    with pytest.raises(UserError) as told:
        sides[0].parts  # noqa: B018
    assert told.value.what == f"{path} is missing or no run's config."
