"""Answered questions before the question."""

import pytest

from unlearnkit.attacks import FewShot, Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError

ROWS = [Example(f"r{n}", f"What is {n}?", f"It is {n}.") for n in range(5)]
DATA = Data("it", {"retain": [*ROWS, Example("t", "", "plain text")]}, {})


def test_evenly_spaced_rows_stand_before_the_question_in_its_own_form():
    attack = FewShot(examples=2)
    attack.bind("few_shot", Scene(DATA))
    assert attack.question("Who?") == (
        "Question: What is 0?\nAnswer: It is 0.\n\nQuestion: What is 4?\nAnswer: It is 4.\n\nQuestion: Who?\nAnswer:"
    )


@pytest.mark.parametrize(("settings", "said"), [({"stream": "holdout"}, "have 0"), ({"examples": 6}, "have 5")])
def test_too_few_rows_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        FewShot(**settings).bind("few_shot", Scene(DATA))
