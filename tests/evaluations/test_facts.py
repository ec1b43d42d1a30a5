"""Which facts a model knows: chosen by it, and measured again after a change."""

import pytest
import torch
from composed import composed
from hydra.utils import instantiate

from unlearnkit.controls import Known
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point
from unlearnkit.models.templates import Template


def greedy(model, prompt, tokens=1):
    """What the model says next, as text that tokenises back to the same tokens."""
    ids = model.tokenizer(prompt)["input_ids"]
    with torch.no_grad():
        out = model.model.generate(torch.tensor([ids]), max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return out[0, len(ids) :].tolist()


@pytest.fixture
def model(lora_model):
    lora_model.template = Template("{prompt}", "", closed=False)
    return lora_model


@pytest.fixture
def data(model):
    """Of each set every second fact is what the model itself would say."""
    rows = []
    for number in range(80):
        prompt = f"Town {number} lies in {chr(97 + number % 26)}"
        said = model.tokenizer.decode(greedy(model, prompt))
        if model.tokenizer(said)["input_ids"] == greedy(model, prompt) and said.strip():
            rows.append(Example(f"known-{number}", prompt, said, subject=f"Town {number}"))
        rows.append(Example(f"unknown-{number}", prompt, "zzz", subject=f"Town {number}"))
    assert sum(row.id.startswith("known") for row in rows) >= 8
    sets = {"edited": {"validation": rows[:], "test": rows[:]}, "others": {"validation": rows[:], "test": rows[:]}}
    return Data("made", {"facts": sets["edited"]["test"]}, sets)


def test_only_what_the_model_knows_is_left_in_order(model, data, tmp_path, capsys):
    known = [row for row in data.streams["facts"] if row.id.startswith("known")]
    count = len(data.streams["facts"])
    assert Known({"edited": 3})(model, data, tmp_path) is model
    assert data.streams["facts"] == data.sets["edited"]["test"] == known[:3]
    assert data.sets["others"]["test"] == known
    assert f"edited/test 3 (of {count})" in capsys.readouterr().out


def test_nothing_known(model, data, tmp_path):
    data.sets["others"]["test"][:] = [row for row in data.sets["others"]["test"] if row.id.startswith("unknown")]
    with pytest.raises(UserError, match="tiny knows none of the .* facts of 'others/test' in the data 'made'"):
        Known({"edited": 3})(model, data, tmp_path)


def test_rates_before_and_after_a_change(model, data, tmp_path):
    Known({"edited": 4, "others": 6})(model, data, tmp_path)
    cfg = composed("model=tiny", "eval=facts")
    found = Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)
    before = found.measure(model, Point("test"))
    numbers = found.compute(before)["facts"]
    assert numbers["edited"]["success_whole"]["value"] == 0.0 and numbers["edited"]["success_whole"]["n"] == 4
    assert numbers["others"]["success_whole"]["value"] == 1.0 and numbers["others"]["success_whole"]["n"] == 6
    with torch.no_grad():
        model.model.get_output_embeddings().weight.neg_()  # the likeliest becomes the least likely
    after = found.compute(found.measure(model, Point("test"), before))["facts"]
    assert after["edited"]["success_whole"]["value"] == 1.0 and after["others"]["success_whole"]["value"] == 0.0
    assert after["edited"]["answer_perplexity"]["value"] > numbers["edited"]["answer_perplexity"]["value"]
