"""Answers that come from elsewhere, a server or a file: what is asked for, and what they give away."""

import json

import pytest
from sampled import DRAWN, measured
from served import servers

from unlearnkit.attacks import Samples
from unlearnkit.errors import UserError
from unlearnkit.records.decoding import Decoding


def test_it_brings_out_what_the_greedy_answer_hides_and_nothing_that_is_not_there(full_model, tmp_path):
    """Answers from a file: one in four gives it away to one question, and none to the others."""
    said = {"Say a?": ["no", "no", "the answer a", "no"], "Say b?": ["no"] * 4, "Say c?": ["no"] * 4}
    rows = [{"prompt": prompt, "response": text} for prompt, texts in said.items() for text in texts]
    path = tmp_path / "said.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    records, numbers, before = measured(Samples(DRAWN, k=[1, 2, 4], files={"unlearned": str(path)}), full_model)
    assert [r.response for r in records if r.id == "a" and r.set == "x"] == said["Say a?"]
    assert [before["x"][f"leak_{k}"]["value"] for k in (1, 2, 4)] == [0, 0, 0]
    found = [numbers["x"][f"leak_{k}"]["value"] for k in (1, 2, 4)]
    assert found == pytest.approx([0.25 / 3, 0.5 / 3, 1 / 3])
    start, *_ = measured(Samples(DRAWN, k=[1], files={"unlearned": str(path)}), full_model, "start")
    assert {r.response for r in start} & {"no", "the answer a"} == set()  # it is drawn here
    path.write_text("\n".join(map(json.dumps, rows[1:])))
    with pytest.raises(UserError, match="has fewer than 4 answers to 1 of 3 questions, first: Say a?"):
        measured(Samples(DRAWN, k=[1], files={"unlearned": str(path)}), full_model)


def test_answers_of_a_server_are_asked_for_once(full_model, tmp_path):
    with servers() as start:
        server = start(lambda body, number: f"the answer {body['messages'][-1]['content'][4]}")
        settings = {"base_url": server.url, "cache": str(tmp_path), "concurrency": 3}
        attack = Samples(Decoding(4, 0.7, 0.9, seed=2), k=[4], served={"unlearned": "mine"}, server=settings)
        records, numbers, _ = measured(attack, full_model)
        assert numbers["x"]["leak_4"]["value"] == 1 and len(server.requests) == 12 and server.busiest <= 3
        assert {(b["model"], b["temperature"], b["top_p"], b["max_tokens"]) for b in server.bodies} == {
            ("mine", 0.7, 0.9, 3)
        }
        assert len({body["seed"] for body in server.bodies}) == 12
        assert [r.response for r in records if r.id == "b" and r.set == "x"] == ["the answer b"] * 4
        again, *_ = measured(attack, full_model)
        assert len(server.requests) == 12 and [r.response for r in again] == [r.response for r in records]


def test_a_server_that_fails_is_told_in_two_lines(full_model, tmp_path):
    with servers() as start:
        server = start(lambda body, number: (404, {"error": {"message": "no such model"}}))
        settings = {"base_url": server.url, "cache": str(tmp_path)}
        attack = Samples(DRAWN, k=[1], served={"unlearned": "mine"}, server=settings)
        with pytest.raises(UserError, match="The server of 'mine' answered 404"):
            measured(attack, full_model)
