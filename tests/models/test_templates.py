"""How a question is put: literal texts and token ids of the tiny byte tokenizer."""

import json

import pytest
from tokenizers import Tokenizer, processors

from unlearnkit.errors import UserError
from unlearnkit.models import tiny
from unlearnkit.models.templates import Template

QUESTION = Template(text="### Question: {prompt}\n ### Answer:", separator=" ")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.tokenizer()


def test_chat_text(tokenizer):
    assert Template().prompt(tokenizer, "Hi") == "<s>user: Hi\nassistant:"
    assert Template(system="Be kind").prompt(tokenizer, "Hi") == "<s>system: Be kind\n<s>user: Hi\nassistant:"


def test_plain_text(tokenizer):
    assert QUESTION.prompt(tokenizer, "Hi") == "### Question: Hi\n ### Answer:"


def test_braces_in_a_prompt_stay(tokenizer):
    assert QUESTION.prompt(tokenizer, "a {b}") == "### Question: a {b}\n ### Answer:"


def test_ids(tokenizer):
    # printable ASCII letters are ord - 30, a space is 223, </s> is 2
    template = Template(text="Q{prompt}", separator=" ")
    assert template.encode_prompt(tokenizer, "Hi") == [51, 42, 75]
    assert template.encode(tokenizer, "Hi", "A") == ([51, 42, 75], [223, 35, 2])


def test_a_response_that_is_not_closed(tokenizer):
    assert Template(text="Q{prompt}", separator=" ", closed=False).encode(tokenizer, "Hi", "A")[1] == [223, 35]


@pytest.mark.parametrize("template", [Template(), Template(text="Q{prompt}")], ids=["chat", "text"])
def test_plain_text_has_no_template_and_no_end(tokenizer, template):
    assert template.encode(tokenizer, "", "A A") == ([1], [35, 223, 35])


def test_the_chat_start_token_comes_once(tokenizer):
    prompt, response = Template().encode(tokenizer, "Hi", "A")
    assert prompt == Template().encode_prompt(tokenizer, "Hi")
    assert prompt[:2] == [1, 87] and prompt.count(1) == 1
    assert response == [35, 2]


@pytest.mark.parametrize("template", [Template(), QUESTION, Template(system="Be kind")])
@pytest.mark.parametrize("answer", ["It is so.", "Naïve – 日本", "two\nlines", ""])
def test_prompt_and_response_make_the_whole_text(tokenizer, template, answer):
    prompt, response = template.encode(tokenizer, "Hi", answer)
    assert prompt == template.encode_prompt(tokenizer, "Hi")
    assert response[-1] == tokenizer.eos_token_id
    text = template.prompt(tokenizer, "Hi") + template.separator + answer
    assert tokenizer.decode(prompt + response[:-1]) == text


def special(single):
    made = tiny.tokenizer()
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return made


def test_plain_text_gets_the_start_token_and_chat_no_second_one():
    tokenizer = special("<s> $A")
    assert Template(text="Q{prompt}").encode(tokenizer, "Hi", "A") == ([1, 51, 42, 75], [35, 2])
    assert Template().encode_prompt(tokenizer, "Hi").count(1) == 1


def test_a_tokenizer_that_adds_an_end_token_of_its_own():
    tokenizer = special("<s> $A </s>")
    template = Template(text="Q{prompt}")
    assert template.encode(tokenizer, "Hi", "A") == ([1, 51, 42, 75], [35, 2])
    assert template.encode_prompt(tokenizer, "Hi") == [1, 51, 42, 75]  # nothing is generated after an end


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("{prompt} Answer: ", "Hi Answer:"),
        ("{prompt}   ", "Hi"),
        ("Q: {prompt} ", "Q: Hi"),
    ],
)
def test_a_space_at_the_end_of_a_text_goes_to_the_answer(tokenizer, text, asked):
    template = Template(text=text)
    assert template.prompt(tokenizer, "Hi") == asked
    prompt, response = template.encode(tokenizer, "Hi", "The")
    assert prompt == template.encode_prompt(tokenizer, "Hi")
    assert tokenizer.decode(prompt + response[:-1]) == text.replace("{prompt}", "Hi") + "The"


def test_a_separator_that_is_given_takes_its_place(tokenizer):
    template = Template(text="{prompt} Answer: ", separator=" ")
    prompt, response = template.encode(tokenizer, "Hi", "The")
    assert tokenizer.decode(prompt + response[:-1]) == "Hi Answer: The"


def joining():
    """A byte tokenizer that joins line ends, as many do."""
    made = tiny.tokenizer()
    core = json.loads(made.backend_tokenizer.to_str())
    core["model"]["vocab"]["ĊĊ"] = len(core["model"]["vocab"])
    core["model"]["merges"] = [["Ċ", "Ċ"]]
    made._tokenizer = Tokenizer.from_str(json.dumps(core))
    return made


def test_a_prompt_is_never_joined_with_its_answer():
    tokenizer, template = joining(), Template(text="{prompt}\n")
    assert len(tokenizer("\n\n")["input_ids"]) == 1
    prompt, response = template.encode(tokenizer, "Hi", "\nThe")
    assert prompt == template.encode_prompt(tokenizer, "Hi")
    assert tokenizer.decode(prompt + response[:-1]) == "Hi\n\nThe"


def test_line_ends_as_a_command_line_leaves_them(tokenizer):
    template = Template(text="Q: {prompt}\\nA:", separator="\\t", system="a\\nb")
    assert (template.text, template.separator, template.system) == ("Q: {prompt}\nA:", "\t", "a\nb")


def test_braces_in_a_text_stay(tokenizer):
    assert Template(text="{x} {prompt} {} {{").prompt(tokenizer, "Hi") == "{x} Hi {} {{"


@pytest.mark.parametrize("field", ["{response}", "{answer}", "{input}"])
def test_a_field_that_nothing_fills_in_is_refused(field):
    """Else each question would hold its name."""
    with pytest.raises(UserError, match=f"has {field}, which nothing fills in"):
        Template(text=f"Q: {{prompt}} A: {field}")


@pytest.mark.parametrize("text", ["", "Answer:", "{ prompt }", "{Prompt}", "{question}"])
def test_a_text_without_the_prompt_is_refused(text):
    with pytest.raises(UserError, match="has no {prompt}"):
        Template(text=text)


@pytest.mark.parametrize("date", ["today", "2024-13-01", "26 Jul 2024", "", None, 7])
def test_a_date_that_is_none_is_refused(date):
    with pytest.raises(UserError, match="is no date"):
        Template(date=date)


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        ("hello", "The chat template of model 'mine' leaves the question out, so every question would be the same"),
        ("{{ messages[0].text }}A:", "The chat template of model 'mine' leaves the question out"),
        ("{{ range(1000000) | first }}", "The model's chat template cannot be rendered: Range too big"),
        ("{{ messages[0].content }}{{ 1 / 0 }}", "The model's chat template cannot be rendered: division by zero"),
        ("{{ nosuch.field }}", "The model's chat template cannot be rendered: 'nosuch' is undefined"),
    ],
)
def test_a_chat_template_that_cannot_ask_is_refused(chat, said):
    other = tiny.tokenizer()
    other.chat_template = chat
    with pytest.raises(UserError) as caught:
        Template().check(other, "mine")
    assert caught.value.what.startswith(said)


@pytest.mark.parametrize("name", ["add_generation_prompt", "return_tensors", "tokenize", "conversation"])
def test_an_argument_that_is_not_the_chat_templates_is_refused(name):
    with pytest.raises(UserError, match=f"^model.template.arguments.{name} is no variable of a chat template"):
        Template(arguments={"enable_thinking": False, name: False})
