"""Both sides of one list, step by step."""

import pytest

from unlearnkit.data.examples import Example
from unlearnkit.data.listed import Listed
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.models.packing import Tokenise
from unlearnkit.stages.steps import Steps

SIDES = ("forget", "retain")


def both(forget=6, retain=9):
    rows = {"forget": forget, "retain": retain}
    streams = {
        name: Shuffled(name, [Example(f"{name[0]}{n}", "q", f"{name} {n}") for n in range(count)])
        for name, count in rows.items()
    }
    return {side: Listed("forget", "retain", side).bind(streams) for side in SIDES}


def drawn(listed, step, count=4, seed=0):
    return {side: [row.id for (row,) in listed[side].draw(seed, step, count)] for side in SIDES}


def test_an_epoch_has_each_forget_row_and_as_many_retain_rows_once():
    listed = both()
    assert listed["forget"].size == listed["retain"].size == 12
    steps = [drawn(listed, step) for step in range(3)]
    assert [sum(map(len, step.values())) for step in steps] == [4, 4, 4]
    for side in SIDES:  # of nine retain rows the last three have no partner
        assert sorted(name for step in steps for name in step[side]) == [f"{side[0]}{n}" for n in range(6)]
    assert len({len(step["forget"]) for step in steps}) > 1  # whatever falls into a step


def test_every_epoch_has_the_same_order_and_another_seed_has_not():
    listed = both()
    assert [drawn(listed, step) for step in range(3)] == [drawn(listed, step) for step in range(3, 6)]
    assert drawn(listed, 0) != drawn(listed, 0, seed=1)


def test_fewer_retain_rows_than_forget_rows():
    assert both(6, 2)["retain"].size == 8


def letters(prompt, response):
    return [ord(letter) for letter in prompt], [ord(letter) for letter in response] + [2]


@pytest.mark.parametrize("shards", [2, 4])
def test_micro_batches_share_the_list_out(shards):
    made = {n: Steps(both(), Tokenise(letters, 64), 0, 4, 3, n) for n in (1, shards)}
    for number in range(3):
        whole, parts = made[1][number], [made[shards][number * shards + n] for n in range(shards)]
        assert all(sum(map(len, part.examples.values())) == 4 // shards for part in parts)
        for side in SIDES:
            assert sum(len(part.examples[side]) for part in parts) == len(whole.examples[side])
        assert all(part.totals == whole.totals for part in parts)
        assert all((part.row(["retain"]) is None) == (not part.examples["retain"]) for part in parts)


def test_a_list_of_one_side_that_leaves_a_micro_batch_empty():
    steps = Steps({"forget": both()["forget"]}, Tokenise(letters, 64), 0, 4, 3, 4)
    with pytest.raises(UserError, match="has no row for micro-batch"):
        [steps[place] for place in range(12)]
