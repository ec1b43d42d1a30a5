"""Rows that an attack learns from, chooses on and is tested on: none is in two of these parts; the best is kept."""

import math

import pytest

from unlearnkit.attacks import Scene
from unlearnkit.attacks.divided import Divided
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError

FACTS = [Example(f"f{n}", f"Say {n}", "zqzq zqzq") for n in range(16)]
BESIDE = [Example(f"n{n}", f"Tell {n}", "mnmn") for n in range(6)]
DATA = Data("it", {"forget": FACTS, "retain": BESIDE}, {"forget": {"test": FACTS}}, roles={"forget": "forget"})


def bound(data=DATA, **settings):
    own = Divided(**{"stream": "forget", "share": 0.5, "steps": [12, 24], "rates": [0.01], **settings})
    own.bind("it", Scene(data, seed=1))
    return own


def held(own):
    return [row for row in FACTS if own.asks(row)]


def test_the_rows_are_divided_by_their_content_and_none_is_in_two_parts():
    own = bound()
    parts = [own.taught, own.choosing, held(own)]
    assert [len(part) for part in parts] == [8, 4, 4]
    assert sorted(row.id for part in parts for row in part) == sorted(row.id for row in FACTS)
    other = bound(Data("it", {"forget": FACTS[::-1]}, DATA.sets, roles=DATA.roles))
    assert {row.id for row in other.taught} == {row.id for row in own.taught}


def test_text_beside_and_rows_of_a_file_are_learnt_from_and_forget_rows_are_chosen_on_and_tested(tmp_path):
    (tmp_path / "own.jsonl").write_text("".join(f'{{"prompt": "Ask {n}", "response": "klkl"}}\n' for n in range(4)))
    for settings, prompts in (({"stream": "retain"}, "Tell"), ({"file": str(tmp_path / "own.jsonl")}, "Ask")):
        own = bound(**settings)
        assert len(own.taught) == {"Tell": 3, "Ask": 2}[prompts]
        assert all(row.prompt.startswith(prompts) for row in own.taught)
        assert len(own.choosing) == len(held(own)) == 8 and not set(own.choosing) & set(held(own))


def test_what_brings_back_more_is_taken_and_less_or_no_number_is_not(monkeypatch):
    own = bound()
    own.begin()
    given = iter([-3.0, math.nan, -1.0, -2.0])
    monkeypatch.setattr(own, "_comes_back", lambda model: next(given))
    tried = [(0.1, 12), (0.1, 24), (0.2, 12), (0.2, 24)]
    assert [own.try_at(None, rate, step) for rate, step in tried] == [True, False, True, False]
    assert (own.details["rate"], own.details["step"], own.details["log_prob"]) == (0.2, 12, -1.0)
    assert [(row["rate"], row["step"]) for row in own.details["tried"]] == tried


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 0.0}, "share=0 of 16 rows trains on 0"),
        ({"share": 1.0}, "leaves 0 of 16 to test on"),
        ({"stream": "nowhere"}, "stream=nowhere is no stream of the data 'it' .streams: forget, retain"),
        ({"steps": []}, "steps=.. has no value above 0"),
        ({"steps": [0, 5]}, "has no value above 0"),
        ({"rates": []}, "rates=.. has no value above 0"),
    ],
)
def test_what_leaves_nothing_to_do_is_refused(settings, said):
    with pytest.raises(UserError, match=said):
        bound(**settings)
