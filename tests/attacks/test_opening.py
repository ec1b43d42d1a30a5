"""The words with which every answer begins are the model's own as far as it can tell."""

import pytest

from unlearnkit.attacks import Opening
from unlearnkit.models.templates import Template

WORDS = "Sure, here is the answer:"


@pytest.mark.parametrize("template", [Template(), Template(text="### Question: {prompt}\n### Answer:", separator=" ")])
def test_the_words_stand_where_the_answer_begins(template, lora_model):
    model = lora_model
    model.template = template
    plain, answer = model.template.encode(model.tokenizer, "Where is Rome?", "Italy.")
    with Opening(WORDS).on(model) as attacked:
        asked = attacked.template.encode_prompt(attacked.tokenizer, "Where is Rome?")
        prompt, said = attacked.template.encode(attacked.tokenizer, "Where is Rome?", "Italy.")
    text = model.tokenizer.decode(asked)
    assert asked == prompt and asked[: len(plain)] == plain
    assert text.endswith(WORDS) and text.count(WORDS) == 1
    assert model.tokenizer.decode(said, skip_special_tokens=True) == " Italy."
    assert model.template.opening == "" and model.template.encode_prompt(model.tokenizer, "Where is Rome?") == plain
