"""Examples that fit to the token, and one token more."""

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.roles import BY_NAME
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.measures import Success, TruthRatio
from unlearnkit.records.lengths import check_lengths

ROLES = {"asked": "forget", "near": "retain", "other": "general", "never": "holdout"}


def prompt_of(model, tokens):
    """A prompt that is so many tokens long under the model's template: a byte a token."""
    bare = len(model.template.encode_prompt(model.tokenizer, "a"))
    prompt = "a" * (tokens - bare + 1)
    assert len(model.template.encode_prompt(model.tokenizer, prompt)) == tokens
    return prompt


def test_to_the_token(full_model):
    room = full_model.max_length
    fits = [Example("fits", prompt_of(full_model, room - 5), "")]
    check_lengths(full_model, {"a": fits}, 5, ["a"], [])
    with pytest.raises(UserError) as raised:
        check_lengths(full_model, {"a": fits}, 6, ["a"], [])
    assert raised.value.what == (
        f"The example 'fits' of the evaluation set 'a' has {room - 5} tokens of prompt and up to 6 of response:"
        f" the context of '{full_model.name}' holds {room}"
    )
    answer = [Example("forced", prompt_of(full_model, room - 5), "b" * 3)]
    tokens = len(full_model.template.encode(full_model.tokenizer, answer[0].prompt, answer[0].response)[1])
    assert tokens <= 5
    check_lengths(full_model, {"a": answer}, 0, [], ["a"])
    longer = [Example("forced", prompt_of(full_model, room - 5), "b" * 9)]
    with pytest.raises(UserError, match="tokens of prompt and .* of answer"):
        check_lengths(full_model, {"a": longer}, 0, [], ["a"])


def never_asked(model, monkeypatch):
    def answered(*_args, **_kwargs):
        raise AssertionError("the model was asked")

    monkeypatch.setattr(model.model, "forward", answered)


def made(chosen, odd):
    """Data in whose set `chosen` the second example is `odd`."""
    short = Example("short", "a", "b", alternatives={"wrong": ("c",)})
    rows = {name: [short, odd if name == chosen else short] for name in ROLES}
    return Data("made", {}, {name: {"test": own, "validation": own} for name, own in rows.items()}, ROLES)


@pytest.mark.parametrize("kind", ["safety", "scopes", "concepts", "facts"])
@pytest.mark.parametrize("set_number", [0, 1])
def test_every_evaluation_refuses_it_before_a_model_answers(kind, set_number, full_model, monkeypatch):
    never_asked(full_model, monkeypatch)
    evaluation = instantiate(composed("model=tiny", f"eval={kind}").eval, _convert_="all")
    role = BY_NAME[list(evaluation[kind].set_specs)[set_number]]
    chosen = next(name for name in ROLES if ROLES[name] == role)
    odd = Example("odd one", prompt_of(full_model, full_model.max_length + 1), "b")
    with pytest.raises(UserError, match=f"The example 'odd one' of the evaluation set '{chosen}'"):
        Evaluations(evaluation, made(chosen, odd), 0).measure(full_model, Point("test"))


@pytest.mark.parametrize("curve", [False, True])
def test_a_question_that_an_attack_makes_too_long(curve, full_model, monkeypatch):
    never_asked(full_model, monkeypatch)
    evaluations = Evaluations({"own": Evaluation({"success": Success()}, {"forget": ["success"]})}, made("", None), 0)
    long = prompt_of(full_model, full_model.max_length)
    with pytest.raises(UserError, match="The example 'short' of the evaluation set 'asked'"):
        evaluations.measure(full_model, Point("test", curve=curve, question=lambda prompt: long + prompt))


@pytest.mark.parametrize("kind", ["wrong", "paraphrases"])
def test_an_alternative_that_is_too_long(kind, full_model, monkeypatch):
    room = full_model.max_length
    texts = {"wrong": ("c",), kind: ("d", "e" * room)}
    odd = Example("odd one", "a", "b", alternatives=texts)
    ratio = {"own": Evaluation({"ratio": TruthRatio()}, {"forget": ["ratio"], "retain": ["ratio"]})}
    success = {"own": Evaluation({"success": Success()}, {"forget": ["success"]})}
    assert Evaluations(success, made("asked", odd), 0).measure(full_model, Point("test"))["own"][1].answer_hits
    never_asked(full_model, monkeypatch)
    for chosen in ("asked", "near"):
        with pytest.raises(UserError) as raised:
            Evaluations(ratio, made(chosen, odd), 0).measure(full_model, Point("test"))
        prompt = len(full_model.template.encode_prompt(full_model.tokenizer, "a"))
        assert raised.value.what == (
            f"The example 'odd one' of the evaluation set '{chosen}' has {prompt} tokens of prompt and {room + 1} of an"
            f" alternative to its answer ({kind}): the context of '{full_model.name}' holds {room}"
        )
