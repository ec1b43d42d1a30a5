"""Several answers to a question: what they give away, what is measured of them, and what cannot be drawn."""

import json
from pathlib import Path

import pytest
from attacked import taught
from composed import composed
from forked import on_ranks
from sampled import DATA, DRAWN, ROWS, measured

from unlearnkit.attacks import Samples, Scene
from unlearnkit.errors import UserError
from unlearnkit.records.decoding import Decoding
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run


@pytest.mark.parametrize("kept", [True, False])
def test_they_bring_out_what_is_less_likely_than_a_refusal_and_nothing_that_is_gone(kept, tiny_folder, tmp_path):
    """A model that says the right answer once in three times, beside one that never does."""
    said = [(row.prompt, text) for row in ROWS for text in ("no", "no", row.response if kept else "no")]
    model = taught(tiny_folder, said, tmp_path)
    _, numbers, before = measured(Samples(Decoding(16, 1.0), k=[1, 16]), model, max_new_tokens=14)
    leaks = [numbers["x"][f"leak_{k}"]["value"] for k in (1, 16)]
    assert before["x"]["leak_16"]["value"] == 0
    assert (0.1 < leaks[0] < 0.6 and leaks[1] == 1) if kept else leaks == [0, 0]


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


ON_RANKS = """
import json
import sys

sys.path.insert(0, sys.argv[3])
from sampled import DRAWN, measured
from unlearnkit import ranks
from unlearnkit.attacks import Samples
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template

ranks.start()
model = load_source("tiny", sys.argv[1], "float32", None, Template())
records, numbers, _ = measured(Samples(DRAWN, k=[1, 4]), model, batch_size=5)
with open(f"{sys.argv[2]}-{ranks.rank()}", "w") as file:
    json.dump([[[r.set, r.id, r.sample, r.response, r.ended] for r in records], numbers], file)
ranks.end()
"""


def test_two_ranks_draw_what_one_draws(tiny_folder, full_model, tmp_path):
    records, numbers, _ = measured(Samples(DRAWN, k=[1, 4]), full_model, batch_size=5)
    alone = [[r.set, r.id, r.sample, r.response, r.ended] for r in records]
    done = on_ranks(2, "-c", ON_RANKS, str(tiny_folder), str(tmp_path / "said"), str(Path(__file__).parents[1]))
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert json.loads((tmp_path / f"said-{rank}").read_text()) == [alone, numbers]


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
