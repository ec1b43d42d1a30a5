"""ROUGE-L of the teacher-forced text, against a plain pass of a plain model."""

import pytest
import torch
from composed import composed
from hydra.utils import instantiate
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForCausalLM

from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.measures import RougeLAsPublished
from unlearnkit.records.record import Record


@pytest.mark.parametrize(("forced", "value"), [("the cat on the mat", 10 / 11), ("", 0.0), (None, None)])
def test_one_record_by_hand(forced, value):
    record = Record("unlearn", "1", "p", answer="the cat sat on the mat", forced=forced)
    found = RougeLAsPublished()([record], "forget")
    assert found.n == (value is not None) and (value is None or found.value == pytest.approx(value))


def test_text_of_argmax_in_the_answers_places(lora_model, tiny_folder):
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    tokenizer = lora_model.tokenizer
    rows = [Example(f"u{n}", f"Who is {n}?", f"Number {n} lives by the sea.") for n in range(3)]
    data = Data("made", {}, {"unlearn": {"test": rows}, "retention": {"test": rows[:1]}})
    cfg = composed("model=tiny", "eval=scopes", "eval.scopes.max_new_tokens=2")
    found = Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)
    records = [record for record in found.measure(lora_model, Point("test"))["scopes"] if record.set == "unlearn"]
    expected = []
    for row, record in zip(rows, records, strict=True):
        prompt, answer = lora_model.template.encode(tokenizer, row.prompt, row.response)
        with torch.no_grad():
            logits = plain(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
        said = tokenizer.decode(logits.argmax(-1), skip_special_tokens=True)
        assert record.forced == said
        expected.append(RougeScorer(["rougeL"], use_stemmer=True).score(row.response, said)["rougeL"].fmeasure)
    number = found.compute({"scopes": records})["scopes"]["unlearn"]["rouge_l_as_published"]
    assert number["value"] == pytest.approx(sum(expected) / 3) and number["n"] == 3
