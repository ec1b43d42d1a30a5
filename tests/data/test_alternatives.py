"""Invented answers beside a prompt's own: which are drawn, and what the model is asked for them."""

import pytest

from unlearnkit.data.alternatives import Alternatives, request
from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError

ROWS = [Example(f"f{n}", f"What is {n}?", f"It is {n}.", "numbers") for n in range(6)]
FOUND = {row: [f"It is {row.id} {letter}." for letter in "abc"] for row in ROWS}


def alternatives():
    stream = Alternatives("forget", count=3).bind({"forget": Shuffled("forget", ROWS)})
    stream.fill(FOUND)
    return stream


def test_pairs_prefer_an_invented_answer_to_the_own_one():
    pairs = alternatives().draw(0, 0, 4)
    own = [row for (row,) in Shuffled("forget", ROWS).draw(0, 0, 4)]
    assert [avoided for _, avoided in pairs] == own and alternatives().size == 6
    for preferred, avoided in pairs:
        assert preferred.response in FOUND[avoided] and preferred.id.startswith(f"{avoided.id}~alternative-")
        assert (preferred.prompt, preferred.category) == (avoided.prompt, "numbers")


def test_a_draw_depends_on_seed_and_step_alone_and_reaches_all():
    said = lambda seed, step: [row.response for row, _ in alternatives().draw(seed, step, 6)]  # noqa: E731
    assert said(0, 1) == said(0, 1) and said(0, 1) != said(1, 1) and said(0, 1) != said(0, 2)
    assert {text for step in range(30) for text in said(0, step)} == {
        text for texts in FOUND.values() for text in texts
    }


def test_what_a_training_draws_is_in_the_order_of_the_rows():
    stream = alternatives()
    few = stream.drawn(0, 1, 2)
    assert len(few) == 2 and few == [row for row in ROWS if row in few]
    assert set(few) == {own for _, own in stream.draw(0, 0, 2)}
    assert stream.drawn(0, 3, 2) == stream.drawn(5, 9, 2) == ROWS


def test_the_request_holds_question_and_answer():
    asked = request(Example("x", "Who {response}?", "A {prompt} man."))
    assert "Question: Who A {prompt} man.?\nAnswer: A {prompt} man.\n" in asked
    text = request(Example("x", "", "A whole paragraph."))
    assert "A whole paragraph." in text and "Question" not in text and "{" not in text


def test_an_answer_stands_in_where_no_model_is_at_hand():
    stream = alternatives()
    stream.stand_in()
    assert all(preferred.response == own.response for preferred, own in stream.draw(0, 0, 6))


def test_an_unknown_source():
    with pytest.raises(UserError, match="Unknown stream 'forgt'"):
        Alternatives("forgt").bind({"forget": Shuffled("forget", ROWS)})
