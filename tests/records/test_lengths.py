"""Examples that fit to the token, and one token more."""

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations
from unlearnkit.records.lengths import check_lengths

SETS = ("unlearned", "unseen", "normal", "unlearn", "retention", "target", "unrelated", "edited", "others")


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


@pytest.mark.parametrize("kind", ["safety", "scopes", "concepts", "facts"])
@pytest.mark.parametrize("set_number", [0, 1])
def test_every_evaluation_refuses_it_before_a_model_answers(kind, set_number, full_model, monkeypatch):
    def answered(*_args, **_kwargs):
        raise AssertionError("the model was asked")

    monkeypatch.setattr(full_model.model, "forward", answered)
    long = prompt_of(full_model, full_model.max_length + 1)
    evaluation = instantiate(composed("model=tiny", f"eval={kind}").eval, _convert_="all")
    chosen = list(evaluation[kind].sets)[set_number]
    rows = {
        name: [Example("short", "a", "b"), Example("odd one", long if name == chosen else "a", "b")] for name in SETS
    }
    data = Data("made", {}, {name: {"test": own, "validation": own} for name, own in rows.items()})
    with pytest.raises(UserError, match="The example 'odd one' of the evaluation set"):
        Evaluations(evaluation, data, 0).measure(full_model, "test")
