"""Items of a data set of steps: the same examples however a step is split."""

from collections import Counter

import pytest

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import MismatchedResponses, Shuffled
from unlearnkit.errors import UserError
from unlearnkit.models.packing import Tokenise
from unlearnkit.stages.steps import Step, Steps


def letters(prompt, response):
    return [ord(letter) for letter in prompt], [ord(letter) for letter in response] + [2]


def steps(examples, shards=1, batch_size=4, max_steps=3, max_length=64, seed=0):
    streams = {name: Shuffled(name, rows) for name, rows in examples.items()}
    streams["mismatched"] = MismatchedResponses("forget", 2).bind(streams)
    return Steps(streams, Tokenise(letters, max_length), seed, batch_size, max_steps, shards)


def answers(step, *streams):
    """stream -> its answers in the row of some or all streams, as text, sorted."""
    found, packed = {}, step.row(streams or step.examples)
    for name, where in packed.streams.items():
        labels = iter(packed.labels[where].tolist())
        found[name] = Counter("".join(chr(next(labels)) for _ in range(n)) for n in packed.lengths[name])
    return found


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_hold_the_examples_of_the_whole_step(examples, shards):
    whole, split = steps(examples), steps(examples, shards)
    assert (len(whole), len(split)) == (3, 3 * shards)
    for number in range(3):
        step = whole[number]
        parts = [split[number * shards + shard] for shard in range(shards)]
        assert step.number == number and {part.number for part in parts} == {number}
        for name, expected in answers(step).items():
            assert sum((answers(part)[name] for part in parts), Counter()) == expected
        assert [len(part.examples["forget"]) for part in parts] == [4 // shards] * shards


def test_a_step_holds_what_the_streams_draw(examples):
    found = answers(steps(examples, seed=7)[2])
    for name in ("forget", "retain"):
        drawn = [example for (example,) in Shuffled(name, examples[name]).draw(7, 2, 4)]
        assert found[name] == Counter(example.response + "\x02" for example in drawn)
    assert sum(found["mismatched"].values()) == 4 * 2


def test_totals_are_of_the_whole_step(examples):
    step, part = steps(examples)[1], steps(examples, shards=4)[6]
    lengths = step.row(step.examples).lengths
    expected = {name: (sum(sizes), len(sizes)) for name, sizes in lengths.items()}
    assert step.totals == part.totals == expected
    assert expected["forget"][1] == 4 and expected["mismatched"][1] == 8


def test_a_pass_sees_its_streams_alone(examples):
    step = steps(examples)[0]
    whole, part = step.row(step.examples), step.row(["retain"])
    assert set(whole.streams) == {"forget", "retain", "mismatched"}
    assert set(part.streams) == {"retain"} and part.input_ids.numel() < whole.input_ids.numel()
    assert answers(step, "retain")["retain"] == answers(step)["retain"]
    assert part.labels.tolist() == whole.labels[whole.streams["retain"]].tolist()  # in the same order


def test_no_row_where_no_stream_has_an_example():
    step = Step(0, {"forget": [((1,), (2, 3))], "retain": []}, {})
    assert step.row(["retain"]) is None and step.row(["retain", "forget"]).lengths == {"retain": [], "forget": [2]}


def test_a_batch_that_does_not_split(examples):
    with pytest.raises(UserError, match="batch_size=4 does not split into 3"):
        steps(examples, shards=3)


def test_examples_finds_what_will_be_drawn_and_is_too_long(examples):
    rows = {**examples, "retain": [*examples["retain"], Example("long", "p", "x" * 90)]}
    made = steps(rows, batch_size=2, max_steps=3)  # six draws of six retain examples
    with pytest.raises(UserError, match="Example 'long' has 1 \\+ 91 tokens"):
        made.examples()
    drawn = steps(examples).examples()
    assert set(drawn) == {"forget", "mismatched", "retain"} and all(
        len(set(rows)) == len(rows) for rows in drawn.values()
    )


def test_examples_looks_at_derived_streams(examples):
    rows = {
        **examples,
        "forget": [*examples["forget"], Example("p", "y" * 50, "a"), Example("r", "p", "x" * 50)],
    }
    made = steps(rows, max_steps=40)  # each fits alone; the long prompt with another's long response does not
    with pytest.raises(UserError, match="Example 'p~"):
        made.examples()
