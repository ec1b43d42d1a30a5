"""Where a subject ends, in tokens; contexts drawn by seed; and examples that cannot be rewritten."""

import pytest

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models import tiny
from unlearnkit.models.templates import Template
from unlearnkit.stages.requests import context_texts, make_request, subject_end

RAW = Template("{prompt}", " ", closed=False)
FACT = Example("f1", "The tower of Åsgård stands in", "Oslo", subject="Åsgård")


@pytest.fixture(params=[RAW, Template(), Template("### Question: {prompt}\n ### Answer:", " ")], ids=str)
def model(request):
    return tiny.load(template=request.param)


def test_the_last_token_of_the_subject_in_any_template(model):
    request = make_request(model, FACT, ["", "I said. "], "dummy")
    for (prompt, response), place, context in zip(request.prompts, request.places, ("", "I said. "), strict=True):
        text = model.tokenizer.decode(prompt[: place + 1])
        assert text.endswith(f"{context}The tower of Åsgård")
        assert model.tokenizer.decode(response, skip_special_tokens=True).strip() == "dummy"
        assert (response[-1] == model.tokenizer.eos_token_id) == model.template.closed
    prompt, _ = request.essence
    assert model.tokenizer.decode(prompt[: request.essence_place + 1]).endswith("Åsgård")
    assert "Åsgård is a" in model.tokenizer.decode(prompt)


def test_the_last_mention_counts_and_a_token_of_many_characters():
    model = tiny.load(template=RAW)
    assert subject_end(model, "Rome, Rome is in", "Rome") == 9
    # 东 takes three of the byte tokenizer's tokens, é two: d 0, é 1-2, 东 3-5
    assert subject_end(model, "dé东 is in", "dé东") == 5
    assert make_request(model, FACT, [""], None).prompts[0][1] == (model.tokenizer.eos_token_id,)


def test_contexts_are_drawn_by_seed():
    model = tiny.load(template=RAW)
    texts = context_texts(model, 5, 6, seed=0)
    assert texts[0] == "" and len(texts) == 6 and all(text.endswith(". ") for text in texts[1:])
    openers = ("The", "Therefore", "Because", "I", "You")
    assert all(text.startswith(opener) for text, opener in zip(texts[1:], openers, strict=True))
    assert context_texts(model, 5, 6, seed=0) == texts != context_texts(model, 5, 6, seed=1)
    assert context_texts(model, 0, 6, seed=0) == [""]


@pytest.mark.parametrize("subject", [None, "", "Asgard"])
def test_a_subject_that_is_not_in_its_prompt(subject):
    with pytest.raises(UserError, match="Example 'f1': the subject .* is not in its prompt 'The tower"):
        make_request(tiny.load(template=RAW), Example("f1", FACT.prompt, "Oslo", subject=subject), [""], "dummy")


def test_a_prompt_longer_than_the_context():
    long = Example("f2", "Oslo " * 300, "x", subject="Oslo")
    with pytest.raises(UserError, match="Example 'f2' has 15.. tokens .* context holds 1024"):
        make_request(tiny.load(template=RAW), long, [""], "dummy")
