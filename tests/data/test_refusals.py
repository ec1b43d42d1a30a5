"""Refusals of forget prompts: which are drawn, pairs for DPO, files, and what is refused."""

import json

import pytest

from unlearnkit.data.examples import Example
from unlearnkit.data.refusals import EMBEDDED, Refusals
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError

ROWS = [Example(f"f{n}", f"What is {n}?", f"It is {n}.") for n in range(6)]


def refusals(path=None, **settings):
    return Refusals("forget", path, **settings).bind({"forget": Shuffled("forget", ROWS)})


def test_sixty_are_embedded():
    lines = [json.loads(line)["response"] for line in EMBEDDED.read_text().splitlines()]
    assert len(set(lines)) == len(refusals().refusals) == 60


def test_a_prompt_and_a_refusal():
    stream = refusals()
    (drawn, *others) = stream.draw(0, 0, 4)
    own = [row for (row,) in Shuffled("forget", ROWS).draw(0, 0, 4)]
    assert [row.prompt for (row,) in (drawn, *others)] == [row.prompt for row in own]
    assert all(row.response in stream.refusals for (row,) in (drawn, *others)) and stream.size == 6


def test_a_draw_depends_on_seed_and_step_alone():
    draws = [refusals().draw(seed, step, 5) for seed, step in ((0, 0), (0, 0), (1, 0), (0, 1))]
    responses = [[row.response for (row,) in groups] for groups in draws]
    assert responses[0] == responses[1] and responses[0] != responses[2] and responses[0] != responses[3]


def test_pairs_prefer_the_refusal():
    ((first, second), *_) = refusals(preferred=True).draw(0, 0, 2)
    assert first.prompt == second.prompt and first.response in refusals().refusals
    assert second.response == f"It is {second.prompt[8]}."


def test_lines_of_a_file(tmp_path):
    path = tmp_path / "idk.jsonl"
    path.write_text('I do not know.\n\n{"response": "No idea."}\n"Who knows."\nI do not know.\n')
    assert refusals(str(path)).refusals == ["I do not know.", "No idea.", "Who knows."]


@pytest.mark.parametrize(("text", "said"), [(None, "No file of refusals at"), ("\n \n{}\n", "holds no refusal")])
def test_no_refusals(text, said, tmp_path):
    path = tmp_path / "idk.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said):
        refusals(str(path))


def test_an_unknown_source():
    with pytest.raises(UserError, match="Unknown stream 'forgt'"):
        Refusals("forgt").bind({"forget": Shuffled("forget", ROWS)})
