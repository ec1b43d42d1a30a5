"""What fills a record's fields: alternatives behind one prompt, samples, and nothing that no measure reads."""

import os
from dataclasses import replace

import pytest
import torch

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.measures import (
    AnswerPerplexity,
    HarmfulRate,
    HarmonicMean,
    KSTest,
    Mean,
    Probability,
    RougeL,
    Similarity,
    Success,
    SuccessWhole,
    TruthRatio,
)
from unlearnkit.records.decoding import Decoding

WRONG = ("It is a cat", "Perhaps not, for it is long", "No")


@pytest.fixture
def data():
    rows = [Example(f"f{n}", f"What is {n}?", "It is " + "x" * n, alternatives={"wrong": WRONG}) for n in range(4)]
    kept = [
        replace(row, id=f"r{row.id}", alternatives={"wrong": WRONG, "paraphrases": (f"So {row.id}",)}) for row in rows
    ]
    return Data("made", {}, {"forget": {"test": rows}, "retain": {"test": kept}})


def evaluated(data, model, measures, sets, **more):
    found = Evaluations({"own": Evaluation(measures, sets, **more)}, data, 0)
    records = found.measure(model, Point("test"))
    return records["own"], found.compute(records)["own"]


def plain(model, prompt, answer):
    """Log-probabilities of an answer's tokens: one unpadded pass."""
    prompt, answer = model.template.encode(model.tokenizer, prompt, answer)
    with torch.no_grad():
        logits = model.model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)[range(len(answer)), answer].tolist()


def test_alternatives_equal_a_plain_pass_each(data, lora_model):
    sets = {"forget": ["truth", "likely"], "retain": ["truth"]}
    records, numbers = evaluated(data, lora_model, {"truth": TruthRatio(), "likely": Probability()}, sets)
    for record in records:
        assert record.answer_log_probs == pytest.approx(plain(lora_model, record.prompt, record.answer), abs=1e-5)
        for kind, texts in record.alternatives.items():
            for text, found in zip(texts, record.alternative_log_probs[kind], strict=True):
                assert found == pytest.approx(plain(lora_model, record.prompt, text), abs=1e-5)
    assert [numbers["forget"][name]["n"] for name in ("truth", "likely")] == [4, 4]
    assert numbers["retain"]["truth"]["n"] == 4


def test_all_answers_to_a_prompt_are_one_forward(data, lora_model, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    seen = []
    lora_model.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    evaluated(data, lora_model, {"truth": TruthRatio()}, {"forget": ["truth"]})
    once = sum(
        len(prompt) + len(answer) - 1
        for row in data.sets["forget"]["test"]
        for prompt, answer in [lora_model.template.encode(lora_model.tokenizer, row.prompt, row.response)]
    )
    behind = sum(
        len(lora_model.template.encode(lora_model.tokenizer, row.prompt, text)[1]) - 1
        for row in data.sets["forget"]["test"]
        for text in WRONG
    )
    prompts = [
        lora_model.template.encode_prompt(lora_model.tokenizer, row.prompt) for row in data.sets["forget"]["test"]
    ]
    begun = len(os.path.commonprefix(prompts))
    assert begun == 15  # and all four prompts lie in one row; the first answer begins "It is a cat"
    assert sum(seen) == once + behind - 3 * begun - len("It is ")


def test_an_example_without_alternatives_is_named(data, lora_model):
    rows = data.sets["forget"]["test"]
    rows[1] = replace(rows[1], alternatives={})
    with pytest.raises(UserError, match="The example 'f1' of the set 'forget' has no alternatives"):
        evaluated(data, lora_model, {"truth": TruthRatio()}, {"forget": ["truth"]})


def test_alternatives_are_scored_only_on_sets_whose_measures_read_them(data, lora_model, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    measures = {"truth": TruthRatio(), "success": Success(), "whole": SuccessWhole()}
    kept = {"retain": ["success"]}
    neither, _ = evaluated(data, lora_model, measures, {"forget": ["success"], **kept})
    forget, _ = evaluated(data, lora_model, measures, {"forget": ["truth", "whole"], **kept})
    records = {"neither": neither, "forget": forget}
    scored = {name: {r.set for r in rows if r.alternative_log_probs} for name, rows in records.items()}
    assert scored == {"neither": set(), "forget": {"forget"}}
    assert all(record.answer_hits and record.answer_log_probs for rows in records.values() for record in rows)


def test_nothing_is_made_that_no_measure_reads(data, lora_model, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(lora_model.model, "generate", lambda **_: pytest.fail("nobody asked for answers"))
    records, _ = evaluated(data, lora_model, {"success": Success(), "rouge": RougeL()}, {"forget": ["success"]})
    assert all(record.answer_hits and not record.reference_log_probs and not record.tokens for record in records)
    assert {record.set for record in records} == {"forget"}


def test_samples_are_records_and_one_observation(data, lora_model):
    decoding = Decoding(samples=3, temperature=1.5, top_p=0.9)
    measures = {"rouge": RougeL(), "known": AnswerPerplexity()}
    more = {"decoding": decoding, "max_new_tokens": 6}
    records, numbers = evaluated(data, lora_model, measures, {"forget": ["rouge", "known"]}, **more)
    assert [(record.id, record.sample) for record in records] == [(f"f{n}", s) for n in range(4) for s in range(3)]
    assert len({record.response for record in records}) > 4  # they differ
    assert numbers["forget"]["rouge"]["n"] == numbers["forget"]["known"]["n"] == 4
    assert [bool(record.answer_hits) for record in records] == [True, False, False] * 4
    again, _ = evaluated(data, lora_model, measures, {"forget": ["rouge", "known"]}, **more)
    assert [record.response for record in again] == [record.response for record in records]


def test_measures_of_measures(data, lora_model):
    measures = {
        "success": Success(),
        "truth": TruthRatio(form="true"),
        "mean": Mean({"forget": "success", "retain": "success"}),
        "utility": HarmonicMean({"retain": ["success", "truth"]}),
        "quality": KSTest("truth", "forget"),
    }
    sets = {"forget": ["success"], "retain": ["success"], "all": ["mean", "utility", "quality"]}
    records, numbers = evaluated(data, lora_model, measures, sets)
    forget, retain = (numbers[name]["success"]["value"] for name in ("forget", "retain"))
    truth = TruthRatio(form="true")([r for r in records if r.set == "retain"], "retain").value
    assert numbers["all"]["mean"]["value"] == pytest.approx((forget + retain) / 2)
    expected = 2 / (1 / retain + 1 / truth) if retain and truth else 0.0
    assert numbers["all"]["utility"]["value"] == pytest.approx(expected)
    assert numbers["all"]["quality"]["value"] == 1.0  # the start against itself


@pytest.mark.parametrize(
    ("measures", "sets", "said"),
    [
        (
            {"harm": HarmfulRate()},
            {"forget": ["harm"]},
            "The measure 'harm' reads 'harmful' of a record, which nothing",
        ),
        ({"like": Similarity()}, {"forget": ["like"]}, "The measure 'like' reads 'similarity' of a record"),
        ({"hits": Success()}, {"forgot": ["hits"]}, "Unknown evaluation set 'forgot'. Did you mean 'forget'"),
        ({"hits": Success()}, {"holdout": ["hits"]}, "eval.own measures holdout, and the data 'made' has forget"),
        ({"hits": Success()}, {"forget": ["hit"]}, "Unknown measure 'hit' for the set 'forget'. Did you mean 'hits'"),
        (
            {"hits": Success(), "m": HarmonicMean({"holdout": "hits"})},
            {"forget": ["hits"], "all": ["m"]},
            "The measure 'm' is of 'holdout', and the data 'made' has no such set or role",
        ),
        (
            {"hits": Success(), "m": Mean({"forget": "hit"})},
            {"forget": ["hits"], "all": ["m"]},
            "The measure 'm' is of 'hit', which is no measure of records",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(data, measures, sets, said):
    with pytest.raises(UserError, match=said):
        Evaluations({"own": Evaluation(measures, sets)}, data, 0)


def test_a_harmonic_mean_over_nothing():
    with pytest.raises(UserError, match="HarmonicMean of nothing"):
        HarmonicMean({})


def test_samples_need_a_temperature():
    with pytest.raises(UserError, match="samples=4, top_p=None and no temperature"):
        Decoding(samples=4)
