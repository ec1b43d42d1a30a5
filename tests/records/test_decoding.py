"""Decoding: greedy by default, draws by a seed alone, and samples of a prompt as one observation."""

import dataclasses

import numpy as np
import pytest
import torch
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.measures import RougeL
from unlearnkit.records.decoding import GREEDY, Decoding
from unlearnkit.records.generate import generate, records_of

SETS = {"s": [Example("a", "hello there"), Example("b", "why?"), Example("c", "what is it?")]}
DRAWN = Decoding(samples=4, temperature=1.0)


def answered(model, decoding=None, sets=SETS, tokens=8, batch_size=64):
    records = records_of(sets, dict.fromkeys(sets, decoding.samples if decoding else 1))
    generate(model, records, tokens, batch_size, **({"decoding": decoding} if decoding else {}))
    return records


def responses(*args, **named):
    return [record.response for record in answered(*args, **named)]


@torch.no_grad()
def greedy(model, prompt, tokens):
    ids, new = model.template.encode_prompt(model.tokenizer, prompt), []
    while len(new) < tokens and new[-1:] != [2]:
        new.append(model.model(input_ids=torch.tensor([ids + new]), use_cache=False).logits[0, -1].argmax().item())
    return model.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_greedy_by_default(full_model):
    assert Decoding() == GREEDY and GREEDY.greedy and GREEDY.arguments() == {"do_sample": False}
    expected = [greedy(full_model, example.prompt, 8) for example in SETS["s"]]
    assert responses(full_model) == responses(full_model, GREEDY) == expected


def test_a_temperature_near_0_and_a_tiny_top_p_are_greedy(full_model):
    expected = responses(full_model)
    assert responses(full_model, Decoding(temperature=1e-6)) == expected
    assert responses(full_model, Decoding(temperature=1.0, top_p=1e-6)) == expected


def test_samples_are_records_of_their_own_in_their_order(full_model):
    records = answered(full_model, DRAWN)
    assert [(record.id, record.sample) for record in records] == [(n, k) for n in "abc" for k in range(4)]
    assert len({record.response for record in records}) == 12


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 64])
def test_no_two_samples_of_a_prompt_are_one_draw_whatever_the_batches(batch_size, full_model):
    one = {"s": [Example("a", "hello there"), Example("same", "hello there")]}
    found = responses(full_model, Decoding(samples=8, temperature=1.0), one, batch_size=batch_size)
    assert len(set(found)) == 16


@pytest.mark.parametrize("batch_size", [2, 64])
def test_the_same_draws_again_and_others_with_another_seed(batch_size, full_model):
    first = responses(full_model, DRAWN, batch_size=batch_size)
    torch.manual_seed(99)
    assert responses(full_model, DRAWN, batch_size=batch_size) == first
    other = responses(full_model, dataclasses.replace(DRAWN, seed=1), batch_size=batch_size)
    assert not set(first) & set(other)


def test_nobody_elses_draws_are_disturbed(full_model):
    torch.manual_seed(5)
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    answered(full_model, DRAWN)
    assert torch.equal(torch.get_rng_state(), state) and (np.random.get_state()[1] == numbers).all()


def test_draws_have_the_models_own_probabilities(full_model):
    """First tokens against softmax of the logits, at two temperatures and under top_p."""
    prompt = torch.tensor([full_model.template.encode_prompt(full_model.tokenizer, "why?")])
    with torch.no_grad():
        logits = full_model.model(input_ids=prompt).logits[0, -1].double()
    count, sets = 2000, {"s": [Example("a", "why?")]}
    for temperature, top_p in ((0.5, None), (2.0, None), (0.5, 0.3)):
        records = answered(full_model, Decoding(count, temperature, top_p), sets, 1, count)
        probability, order = (logits / temperature).softmax(-1).sort(descending=True)
        if top_p:
            kept = probability.cumsum(-1) - probability < top_p
            probability = torch.where(kept, probability, 0) / probability[kept].sum()
        chance = {}
        for token, share in zip(order.tolist(), probability.tolist(), strict=True):
            text = full_model.tokenizer.decode([token], skip_special_tokens=True).strip()
            chance[text] = chance.get(text, 0) + share
        drawn = {text: sum(record.response == text for record in records) / count for text in chance}
        assert sum(drawn.values()) == pytest.approx(1)
        assert all(abs(drawn[text] - chance[text]) < 5 * (chance[text] / count) ** 0.5 + 1e-9 for text in chance)


def test_a_models_own_settings_decide_no_draw(full_model, monkeypatch):
    expected = responses(full_model, DRAWN)
    for name, value in {"temperature": 0.1, "top_p": 0.1, "top_k": 1, "repetition_penalty": 3.0}.items():
        monkeypatch.setattr(full_model.model.generation_config, name, value)
    assert responses(full_model, DRAWN) == expected


@pytest.mark.parametrize("named", [{"samples": 2}, {"top_p": 0.9}, {"samples": 16, "top_p": 0.5, "seed": 3}])
def test_samples_without_a_temperature_are_refused(named):
    with pytest.raises(UserError) as caught:
        Decoding(**named)
    assert caught.value.what == (
        f"decoding has samples={named.get('samples', 1)}, top_p={named.get('top_p')} and no temperature: every sample"
        " would be the greedy response"
    )
    assert caught.value.fix == "Set decoding.temperature= above 0, such as 1.0, or leave samples and top_p out"


def test_no_token_to_draw_is_refused():
    with pytest.raises(UserError, match="top_p=0 leaves no token to draw"):
        Decoding(temperature=1.0, top_p=0.0)


def test_samples_are_one_observation_a_prompt(full_model):
    rows = [Example(n, f"Say {n}?", "the answer") for n in "abc"]
    data = Data("made", {}, {"asked": {"test": rows}}, {"asked": "forget"})
    evaluation = Evaluation({"rouge_l": RougeL()}, {"forget": ["rouge_l"]}, max_new_tokens=3, decoding=DRAWN)
    evaluations = Evaluations({"own": evaluation}, data, 0)
    records = evaluations.measure(full_model, Point("test"))["own"]
    assert len(records) == 12 and all(record.tokens for record in records)
    for number, record in enumerate(records):  # right in one sample of 4, in 4 and in none
        record.response = "the answer" if number in (2, 4, 5, 6, 7) else "no"
    found = evaluations.compute({"own": records})["own"]["asked"]["rouge_l"]
    assert (found["value"], found["n"]) == (pytest.approx(1.25 / 3), 3)


def test_an_answer_that_is_given_is_forced_once_beside_samples(full_model):
    cfg = composed("model=tiny", "eval=scopes", "eval.scopes.max_new_tokens=3", "eval.scopes.decoding.samples=3",
                   "eval.scopes.decoding.temperature=1.0")  # fmt: skip
    rows = [Example(n, f"Say {n}?", "so") for n in "ab"]
    data = Data("made", {}, {"x": {"test": rows}, "y": {"test": rows}}, {"x": "forget", "y": "retain"})
    evaluations = Evaluations(instantiate(cfg.eval, _convert_="all"), data, 0)
    records = evaluations.measure(full_model, Point("test"))
    assert [bool(record.answer_hits) for record in records["scopes"]] == [True, False, False] * 4
    numbers = evaluations.compute(records)["scopes"]
    assert {number["n"] for name in "xy" for number in numbers[name].values()} == {2}
