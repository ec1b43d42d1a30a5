"""The scopes evaluation on the tiny model: one teacher-forced pass, and what curves leave out."""

import numpy as np
import pytest
import torch
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.spread import evenly_spaced
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point


@pytest.fixture
def data():
    asked = {
        name: [Example(f"{name}{n}", f"Who is {n}?", f"{name} {n}.") for n in range(5)]
        for name in ("unlearn", "retention")
    }
    return Data("made", {}, {name: {"test": rows, "validation": rows[:2]} for name, rows in asked.items()})


def evaluations(data, *overrides):
    cfg = composed("model=tiny", "eval=scopes", "eval.scopes.max_new_tokens=4", *overrides)
    return Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)


def test_records_and_numbers_equal_a_plain_pass(data, lora_model):
    found = evaluations(data, "eval.scopes.generate_limit=2")
    records = found.measure(lora_model, Point("test"))["scopes"]
    assert [record.set for record in records] == [name for name in ("unlearn", "retention") for _ in range(5)]
    hits = {}
    for record in records:
        prompt, answer = lora_model.template.encode(lora_model.tokenizer, record.prompt, record.answer)
        with torch.no_grad():
            logits = lora_model.model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(answer)), answer]
        np.testing.assert_allclose(record.answer_log_probs, expected, atol=1e-4)
        assert record.answer_hits == (logits.argmax(-1) == torch.tensor(answer)).tolist()
        hits.setdefault(record.set, []).append(np.mean(record.answer_hits))
    answered = [record.id for record in records if record.tokens]
    assert answered == ["unlearn0", "unlearn4", "retention0", "retention4"]
    numbers = found.compute({"scopes": records})["scopes"]
    assert list(numbers) == ["unlearn", "retention", "both"]
    unlearn, retention = 1 - np.mean(hits["unlearn"]), np.mean(hits["retention"])
    assert numbers["unlearn"]["success"]["value"] == pytest.approx(unlearn)
    assert numbers["retention"]["success"]["value"] == pytest.approx(retention)
    assert numbers["both"]["average_success"]["value"] == pytest.approx((unlearn + retention) / 2)
    assert numbers["both"]["average_success"]["n"] == 10
    assert numbers["unlearn"]["rouge_l"]["n"] == 2


def test_a_curve_forces_the_plain_sets_alone(data, lora_model):
    found = evaluations(data)
    records = found.measure(lora_model, Point("validation", curve=True))
    assert [(r.set, r.id) for r in records["scopes"]] == [
        ("unlearn", "unlearn0"), ("unlearn", "unlearn1"), ("retention", "retention0"), ("retention", "retention1"),
    ]  # fmt: skip
    numbers = found.compute(records)["scopes"]
    assert list(numbers) == ["unlearn", "retention", "both"]
    assert list(numbers["unlearn"]) == ["success", "success_whole", "answer_perplexity"]


def test_one_forward_for_all_teacher_forced_metrics(data, lora_model, tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    passed = []
    lora_model.model.register_forward_hook(lambda module, args, kwargs, out: passed.append(1), with_kwargs=True)
    evaluations(data).measure(lora_model, Point("validation", curve=True))
    assert len(passed) == 1


def test_questions_of_an_attack_are_others_under_the_same_ids(data, lora_model):
    asked = Point("validation", question=lambda prompt: f"Listen: {prompt}")
    records = evaluations(data).measure(lora_model, asked)["scopes"]
    assert [(r.id, r.prompt) for r in records if r.set == "unlearn"] == [
        ("unlearn0", "Listen: Who is 0?"), ("unlearn1", "Listen: Who is 1?"),
    ]  # fmt: skip


def test_spread_is_even_and_in_order():
    assert evenly_spaced(list(range(10)), 4) == [0, 3, 6, 9]
    assert evenly_spaced(list(range(3)), 4) == evenly_spaced(list(range(3)), None) == [0, 1, 2]


def test_data_without_scopes(data):
    del data.sets["retention"]
    with pytest.raises(UserError, match="'average_success' is of 'retain', and the data 'made' has no such") as caught:
        evaluations(data)
    assert "eval.scopes.measures.average_success.of" in caught.value.fix
