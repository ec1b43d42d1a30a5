"""The concepts evaluation on the tiny model: answers before and after, and what the numbers are made of."""

import pytest
import sacrebleu
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.run import run


@pytest.fixture
def data():
    asked = {name: [Example(f"{name}{n}", f"What is {n}?") for n in range(5)] for name in ("target", "unrelated")}
    return Data("made", {}, {name: {"test": rows, "validation": rows[:2]} for name, rows in asked.items()})


def evaluations(data, *overrides):
    cfg = composed("model=tiny", "eval=concepts", "eval.concepts.max_new_tokens=4", *overrides)
    return Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)


def test_the_original_has_100(data, lora_model):
    found = evaluations(data)
    records = found.measure(lora_model, Point("test"))
    assert all(record.original == record.response and record.tokens <= 4 for record in records["concepts"])
    numbers = found.compute(records)["concepts"]
    assert {name: list(metrics) for name, metrics in numbers.items()} == {
        "target": ["bleu", "bleu_as_published"], "unrelated": ["bleu", "bleu_as_published"],
    }  # fmt: skip
    for metrics in numbers.values():
        for bleu in (metrics["bleu"],):
            assert (bleu["value"], bleu["high"], bleu["n"]) == (100, 100, 5) and 40 < bleu["low"] < 60


def test_answers_are_compared_with_the_original_s(data, lora_model, full_model):
    found = evaluations(data)
    before = found.measure(lora_model, Point("test"))
    for parameter in full_model.model.parameters():
        parameter.data += 0.3 * parameter.data.std().nan_to_num() * parameter.data.sign()
    after = found.measure(full_model, Point("test"), before)
    pairs = list(zip(after["concepts"], before["concepts"], strict=True))
    assert all(new.id == old.id and new.original == old.response for new, old in pairs)
    plain = [
        100.0 if new.response == old.response else sacrebleu.sentence_bleu(new.response, [old.response]).score
        for new, old in pairs
        if new.set == "target"
    ]
    value = found.compute(after)["concepts"]["target"]["bleu"]["value"]
    assert value == pytest.approx(sum(plain) / 5)


def test_a_curve_asks_fewer(data, lora_model):
    found = evaluations(data, "eval.concepts.curve_limit=1", "eval.concepts.limit=3")
    assert len(found.measure(lora_model, Point("validation", curve=True))["concepts"]) == 2
    records = found.measure(lora_model, Point("test"))["concepts"]
    assert [record.id for record in records if record.set == "target"] == ["target0", "target2", "target4"]


def test_data_without_concepts(data):
    data.sets["other"] = data.sets.pop("target")
    del data.sets["unrelated"]
    with pytest.raises(UserError, match=r"eval.concepts measures target, unrelated, and the data 'made' has other"):
        evaluations(data)


def test_a_run_on_the_embedded_concept(tmp_path):
    small = ("eval.concepts.limit=3", "eval.concepts.curve_limit=2", "eval.concepts.max_new_tokens=3", "logger=none")
    metrics = run(composed("+method=ga_gd", "model=tiny", "data=concepts", *small), tmp_path)
    assert metrics["run"]["data"] == "concept France"
    for when in ("before", "after"):
        target, unrelated = (metrics[when]["concepts"][name] for name in ("target", "unrelated"))
        assert target["bleu"]["n"] == unrelated["bleu"]["n"] == 3
        assert 0 <= target["bleu"]["value"] <= 100
    assert metrics["before"]["concepts"]["target"]["bleu"]["value"] == 100
    assert [point["step"] for point in metrics["curve"]] == [0, 2, 4]
    for point in metrics["curve"]:
        assert point["metrics"]["concepts"]["target"]["bleu"]["n"] == 2
