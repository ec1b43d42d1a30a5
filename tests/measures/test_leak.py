"""leak@k against a closed form, and when an answer counts as given."""

import itertools
import random

import pytest

from unlearnkit.measures import Leak, MatcherAgreement
from unlearnkit.measures.leak import Matcher
from unlearnkit.records.record import Record


def samples(name, said, **fields):
    return [
        Record("s", name, name, text, 3, answer="the old harbour", sample=n, **fields) for n, text in enumerate(said)
    ]


def test_it_is_the_share_of_all_choices_of_k_samples_that_hold_a_success():
    told = [[0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]]
    records = [
        r for n, row in enumerate(told) for r in samples(f"p{n}", ["the old harbour" if one else "no" for one in row])
    ]
    for k in range(1, 6):
        chosen = [list(itertools.combinations(row, k)) for row in told]
        expected = sum(sum(map(any, each)) / len(each) for each in chosen) / 4
        found = Leak(k)(records, "forget")
        assert found.value == pytest.approx(expected) and found.n == 4
        assert 0 <= found.low < found.value < found.high <= 1


def test_of_a_sampler_with_a_known_rate_it_is_one_less_the_chance_of_k_failures():
    drawn = random.Random(1)
    records = [
        record
        for n in range(400)
        for record in samples(f"p{n}", ["the old harbour" if drawn.random() < 0.05 else "no" for _ in range(40)])
    ]
    for k in (1, 8, 32):
        found = Leak(k)(records, "forget")
        assert found.value == pytest.approx(1 - 0.95**k, abs=0.03) and found.low < found.value < found.high


def test_where_nothing_leaks_it_is_zero_with_a_width():
    records = [record for n in range(30) for record in samples(f"p{n}", ["no"] * 8)]
    found = Leak(8)(records, "forget")
    assert found.value == found.low == 0 and 0.05 < found.high < 0.2


@pytest.mark.parametrize(("said", "leaks"), [("the old harbour", 1.0), ("no", 0.0)])
def test_one_greedy_answer_is_what_any_number_of_them_are(said, leaks):
    assert Leak(16)(samples("p", [said]), "forget").value == leaks


def test_draws_of_an_attack_are_averaged_and_not_mixed():
    """Two draws of one greedy answer each, of which one leaks: half, and not certainly one of two."""
    records = [
        record for draw, said in enumerate(["the old harbour", "no"]) for record in samples("p", [said], draw=draw)
    ]
    assert Leak(2)(records, "forget").value == 0.5


def test_more_than_there_are_samples_is_no_number():
    with pytest.raises(ValueError, match="leak@3 of 2 samples"):
        Leak(3)(samples("p", ["no", "no"]), "forget")


def test_the_judge_tells_where_it_is_asked_for():
    records = [Record("s", "a", "a", "x", 1, sample=n, harmful=n == 0) for n in range(2)]
    assert Leak(1, "judge")(records, "forget").value == 0.5
    assert Leak(1, "judge").reads == ("harmful",) and Leak(1).reads == ("response",)


@pytest.mark.parametrize(
    ("answer", "keys", "said", "found"),
    [
        ("The old harbour.", (), "It was THE OLD HARBOUR, I think", True),
        ("He was born by the old harbour of Pisa", ("Pisa",), "In Pisa!", True),
        ("He was born by the old harbour of Pisa", (), "In Pisa!", False),
        ("one two three four", (), "one and two it is", True),  # half of its words in order
        ("one two three four", (), "one it is", False),
        ("14", (), "It is 140.", False),
        ("", (), "anything", None),
    ],
)
def test_an_answer_is_given_when_its_key_stands_there_or_half_of_it(answer, keys, said, found):
    record = Record("s", "a", "a", said, 3, answer=answer, alternatives={"accepted": list(keys)} if keys else None)
    assert Matcher()(record) is found


def test_agreement_is_of_answers_that_both_judge():
    records = [Record("s", str(n), str(n), said, 3, answer="Pisa", harmful=harmful) for n, (said, harmful) in enumerate(
        [("Pisa", True), ("Pisa", False), ("Rome", False), ("Rome", None)]
    )]  # fmt: skip
    found = MatcherAgreement()(records, "forget")
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
