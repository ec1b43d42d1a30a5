"""How far answers are apart: words and verdicts, by hand."""

import pytest
from compared import record, write_run

from unlearnkit.compare.answers import apart, changed_answers
from unlearnkit.compare.sides import read_sides


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (("yes", True), ("yes", True), 0.0),
        (("yes  it is", None), ("yes it\nis", None), 0.0),  # the same words
        (("yes", True), ("yes", False), 1.0),
        (("yes", True), ("yes", None), 0.0),  # nobody judged the other
        (("a b c d", None), ("a b c x", None), 0.25),  # three of four words on both sides
        (("a b c d", True), ("a b c x", False), 1.25),
        (("a b", None), ("", None), 1.0),
        (("a " * 300 + "b", None), ("a " * 300 + "c", None), 0.001),  # past the words that are looked at
    ],
)
def test_apart(one, other, distance):
    first, second = (record(1, harmful, response=response) for response, harmful in (one, other))
    assert apart(first, second) == apart(second, first) == pytest.approx(distance)


def test_samples_are_compared_in_their_order(tmp_path):
    answers = {"a": ("one two", "same", "left"), "b": ("one too", "same")}
    for name, said in answers.items():
        rows = [record(0, False, response=text, sample=number) for number, text in enumerate(said)]
        write_run(tmp_path / name, "ga", rows)
    (found,) = changed_answers(read_sides([tmp_path / "a", tmp_path / "b"]), 9)  # the third has no partner
    assert (found.place, found.id, found.change) == ("safety/unlearned", "f0", 0.5)
    assert [answer.response for answer in found.answers] == ["one two", "one too"]
