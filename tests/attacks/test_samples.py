"""Several answers to a question: where they come from, what is measured of them, and what cannot be drawn."""

import json

import pytest
from composed import composed
from served import servers

from unlearnkit.attacks import Samples, Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.measures import RougeL
from unlearnkit.records.decoding import Decoding
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run
from unlearnkit.runs.moments import bind_attacks

ROWS = [Example(n, f"Say {n}?", f"the answer {n}") for n in "abc"]
DATA = Data("made", {}, {"x": {"test": ROWS}, "y": {"test": ROWS}}, {"x": "forget", "y": "retain"})
DRAWN = Decoding(4, 1.0)


def measured(attack, model, of="unlearned", start=True, **settings):
    measures = {"rouge_l": RougeL()}
    evaluation = Evaluation(measures, {"forget": ["rouge_l"], "retain": ["rouge_l"]}, max_new_tokens=3, **settings)
    evaluations = Evaluations({"own": evaluation}, DATA, 0)
    bind_attacks({"samples": attack}, [], Scene(DATA), evaluations)
    before = evaluations.measure(model, Point("test"))
    records = attack.measure(model, evaluations, "it", before if start else None, of)
    return records["own"], evaluations.compute(records)["own"], evaluations.compute(before)["own"]


def test_the_forget_side_is_drawn_and_the_others_are_answered_as_ever(full_model):
    records, numbers, before = measured(Samples(DRAWN, k=[1, 4]), full_model)
    assert [(r.set, r.id, r.sample) for r in records] == [
        *(("x", n, sample) for n in "abc" for sample in range(4)), *(("y", n, 0) for n in "abc"),
    ]  # fmt: skip
    assert len({r.response for r in records if r.set == "x"}) > 6
    assert list(numbers["x"]) == ["rouge_l", "leak_1", "leak_4"] == list(before["x"]) and list(numbers["y"]) == [
        "rouge_l"
    ]
    again, *_ = measured(Samples(DRAWN, k=[1]), full_model)
    assert [r.response for r in again] == [r.response for r in records]
    kept, *_ = measured(Samples(DRAWN, k=[1]), full_model, "never_knew", start=False)
    assert [r.response for r in kept if r.set == "x"] == [r.response for r in records if r.set == "x"]
    other, *_ = measured(Samples(Decoding(4, 1.0, seed=1), k=[1]), full_model, "never_knew", start=False)
    assert not {r.response for r in other if r.set == "x"} & {r.response for r in records if r.set == "x"}


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


class Harmful:
    def judge(self, pairs):
        from unlearnkit.judges.base import Verdict

        return [Verdict("a" in response, "direct_answer", "so") for _, response in pairs]


def test_the_judge_decides_where_there_is_one_and_the_matcher_is_compared_with_it(full_model):
    _, numbers, _ = measured(Samples(DRAWN, k=[1]), full_model, judge=Harmful())
    assert list(numbers["x"]) == ["rouge_l", "leak_1", "matcher_agreement"]
    with pytest.raises(UserError, match="success=judge, and eval.own has no judge"):
        measured(Samples(DRAWN, k=[1], success="judge"), full_model)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"decoding": Decoding()}, "has no temperature"),
        ({"k": [1, 8]}, r"k=\[1, 8\] is to be of 4 samples"),
        ({"k": []}, "is to be of 4 samples"),
        ({"files": {"unlearnt": "x"}}, "answers of 'unlearnt', which is no model of a run. Did you mean 'unlearned'"),
        ({"served": {"start": "a"}, "files": {"start": "b"}}, "from a server and from a file"),
        ({"served": {"start": "a"}}, "no server has them"),
        ({"files": {"start": "nowhere.jsonl"}}, "No file or folder at nowhere.jsonl"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, said):
    with pytest.raises(UserError, match=said):
        Samples(**{"decoding": DRAWN, "k": [1], **settings}).bind("samples", Scene(DATA))


def test_an_evaluation_that_draws_too_few_itself_is_refused(full_model):
    with pytest.raises(
        UserError, match="eval.own draws 2 answers to a prompt itself, and attacks.samples compares leak@4"
    ):
        measured(Samples(DRAWN, k=[4]), full_model, decoding=Decoding(2, 1.0))


def test_a_limit_takes_whole_prompts(full_model):
    records, numbers, _ = measured(Samples(DRAWN, k=[4]), full_model, generate_limit=2)
    assert [(r.id, r.sample) for r in records if r.set == "x" and r.tokens] == [(n, s) for n in "ac" for s in range(4)]
    assert numbers["x"]["leak_4"]["n"] == 2


def test_a_run_says_leaks_beside_the_other_models(tmp_path):
    metrics = run(
        composed(*("+attack=[samples]", "attacks.samples.decoding.samples=3", "attacks.samples.k=[1,3]", "+method=ga"),
                 *("model=tiny", "logger=none", "train.max_steps=2", "eval_every=0", "target=none", "data=authors"),
                 *("data.authors=2", "eval.scopes.limit=3", "eval.scopes.max_new_tokens=4")),
        tmp_path,
    )  # fmt: skip
    assert [moment["name"] for moment in metrics["moments"]] == ["start", "samples/start", "finetune", "samples"]
    shares = metrics["recovered"]["samples"]["shares"]["scopes"]["unlearn"]
    assert list(shares) == ["leak_1", "leak_3"] and shares["leak_3"]["n"] == 2  # generate_limit of the tiny row
    records = read_parquet(tmp_path / "records" / "samples-scopes.parquet")
    assert sum(record.set == "unlearn" for record in records) == 9


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("attacks.samples.decoding.temperature=0", "temperature"),
        ("attacks.samples.decoding.temperature=null", "no temperature"),
        ("attacks.samples.k=[32]", "of 16 samples"),
    ],
)
def test_words_of_the_command_line_are_refused_before_a_model_is_loaded(word, said, tmp_path):
    from unlearnkit.settings.check import check
    from unlearnkit.settings.run import Run

    cfg = composed("+attack=[samples]", "model=tiny", "logger=none", "data=authors", word)
    with pytest.raises(Exception, match=said):
        check(cfg, Run)
        run(cfg, tmp_path)
