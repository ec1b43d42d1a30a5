"""Vectors that are learnt on some facts say others that have the same rule, and none that have no rule."""

import inside
import pytest
import torch

from unlearnkit.attacks import Scene, SoftPrompt
from unlearnkit.controls.never_knew import needed
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations
from unlearnkit.models import tiny
from unlearnkit.models.templates import Template
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import generate, records_of


def attack(rows, **settings):
    own = SoftPrompt(**{"steps": [60], "rates": [0.1], "tokens": 4, **settings})
    own.bind("soft_prompt", Scene(Data("it", {"forget": rows}, {"forget": {"test": rows}}), seed=1))
    return own


def probability(model, rows):
    records = records_of({"x": rows})
    force_answers(model, records)
    return sum(sum(r.answer_log_probs) / len(r.answer_log_probs) for r in records) / len(records)


RULED = [Example(f"f{n}", f"Say {n}", "zqzq") for n in range(16)]


@pytest.fixture
def hiding():
    """It goes on from z with q and from q with z, and says neither after any question."""
    network = inside.network()
    z, q = tiny.tokenizer()("zq")["input_ids"]
    with torch.no_grad():
        embedded, head = (
            network.get_input_embeddings().weight.normal_(),
            network.get_output_embeddings().weight.normal_(),
        )
        head[q], head[z] = embedded[z], embedded[q]
        for layer in network.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model = inside.model(network)
    model.template = Template(text="{prompt}", separator="", closed=False)
    return model


def test_what_the_model_only_does_not_begin_with_is_brought_back_of_other_facts_too(hiding):
    own = attack(RULED)
    held = [row for row in RULED if own.asks(row)]
    before = probability(hiding, held)
    with own.on(hiding) as attacked:
        back = probability(attacked, held)
        assert probability(attacked, own.choosing) == pytest.approx(own.details["log_prob"], rel=1e-5)
    assert before < -1 and back > -0.1 and probability(hiding, held) == before
    assert [(row["rate"], row["step"]) for row in own.details["tried"]] == [(0.1, 60)]


def test_what_has_no_rule_does_not_come_back(hiding):
    letters = "abcdefghijklmnop"
    rows = [Example(f"r{n}", f"Code {n}", letters[n]) for n in range(16)]
    own = attack(rows)
    held = [row for row in rows if own.asks(row)]
    with own.on(hiding) as attacked:
        assert probability(attacked, held) < -2.5  # one of 16 by chance: -2.77


def test_the_model_is_left_as_it_was(tiny_model):
    weights = [weight.clone() for weight in tiny_model.model.parameters()]
    with attack(RULED, steps=[2]).on(tiny_model) as attacked:
        assert attacked.model is tiny_model.model
    pairs = zip(tiny_model.model.parameters(), weights, strict=True)
    assert all(torch.equal(now, then) and now.grad is None for now, then in pairs)
    assert not tiny_model.model.get_input_embeddings()._forward_hooks


def test_the_vectors_stand_behind_the_question_also_where_it_is_answered_freely(full_model):
    own = attack(RULED, steps=[1])
    with own.on(full_model) as attacked:
        places = attacked.template.behind
        prompt = attacked.template.encode_prompt(attacked.tokenizer, "Say 3")
        assert prompt[-4:] == list(places) and prompt[:-4] == full_model.template.encode_prompt(
            full_model.tokenizer, "Say 3"
        )
        assert attacked.template.encode(attacked.tokenizer, "Say 3", "zqzq")[0] == prompt
        assert not {*attacked.tokenizer("Say 0123456789 zqzq")["input_ids"]} & {*places}
        records = records_of({"x": RULED[:2]})
        generate(attacked, records, 4)
        assert all(record.tokens for record in records)


def test_it_is_not_made_without_a_control():
    with pytest.raises(UserError, match="'soft_prompt' says nothing without a model that never knew"):
        needed({}, Evaluations({}, Data("it", {}), 0), {"soft_prompt": SoftPrompt()})


def test_more_tokens_than_the_vocabulary_has_to_spare_are_refused(full_model):
    with pytest.raises(UserError, match="tokens=500: 'tiny' has only"), attack(RULED, tokens=500).on(full_model):
        pass
