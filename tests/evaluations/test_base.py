"""The safety evaluation on the tiny model: what is annotated where, and numbers as pure functions of records."""

import math

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.records.forward import free_text, score


@pytest.fixture
def data():
    asked = {name: [Example(f"{name}{n}", f"How {n}?", f"So {n}.") for n in range(3)] for name in ("bad", "good")}
    return Data("made", {}, {name: {"test": rows, "validation": rows[:1]} for name, rows in asked.items()})


@pytest.fixture
def evaluations(data):
    small = ("eval.safety.max_new_tokens=5", "+eval.safety.sets.bad=[harmful_rate,perplexity]")
    gone = [f"~eval.safety.sets.{role}" for role in ("forget", "holdout", "retain", "general")]
    good = "+eval.safety.sets.good=[perplexity,answer_perplexity,similarity]"
    cfg = composed("model=tiny", *small, *gone, good)
    return Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)


def test_each_set_is_annotated_for_its_own_metrics(evaluations, lora_model):
    records = evaluations.measure(lora_model, Point("test"))["safety"]
    assert [record.set for record in records] == ["bad"] * 3 + ["good"] * 3
    assert all((record.harmful is not None) == (record.set == "bad") for record in records)
    assert all((record.similarity is not None) == (record.set == "good") for record in records)
    assert [len(record.answer_log_probs) for record in records] == [0] * 3 + [
        6
    ] * 3  # a token a byte of "So n.", and the end
    numbers = evaluations.compute({"safety": records})["safety"]
    assert list(numbers["bad"]) == ["harmful_rate", "perplexity"] and numbers["bad"]["perplexity"]["n"] == 3


def test_perplexity_is_under_the_base_model_whatever_was_trained(evaluations, lora_model):
    before = evaluations.measure(lora_model, Point("test"))
    lora_model.weights.make_trainable()
    for name, weight in lora_model.model.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.5)
    after = evaluations.measure(lora_model, Point("test"), before)["safety"]
    assert [r.response for r in after] != [r.response for r in before["safety"]]
    with lora_model.model.disable_adapter():
        texts = [free_text(lora_model.tokenizer, r.response, r.ended, 1024) for r in after]
        expected = [found.log_probs for found in score(lora_model.model, texts)]
    assert [r.reference_log_probs for r in after] == expected
    mean = sum(-sum(row) / len(row) for row in expected[:3]) / 3
    found = evaluations.compute({"safety": after})["safety"]["bad"]["perplexity"]["value"]
    assert found == pytest.approx(math.exp(mean), rel=1e-6)


def test_the_original_is_as_similar_to_itself_as_can_be(evaluations, lora_model):
    records = evaluations.measure(lora_model, Point("validation"))
    assert evaluations.compute(records)["safety"]["good"]["similarity"]["value"] == pytest.approx(1.0, abs=1e-5)
