"""Chat templates of the families that people use: where a turn ends, and that one question is asked and trained."""

import pytest
from transformers import AutoModelForCausalLM

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models import load_source, tiny
from unlearnkit.models.templates import Template
from unlearnkit.records.generate import generate, records_of

LOOP = "{% for m in messages %}"
USER = "{% if m['role'] == 'user' %}"
ASSISTANT = "{% if m['role'] == 'assistant' %}"
GO = "{% if add_generation_prompt %}"


def turns(start, end, names=("user", "assistant", "system"), bos="", after="\n"):
    """<start>name\ncontent<end>\n, as ChatML and its kin write a turn."""
    user, assistant, system = names
    name = f"{{{{ {{'user': '{user}', 'assistant': '{assistant}', 'system': '{system}'}}[m['role']] }}}}"
    body = f"{start.format(name=name)}{{{{ m['content'] | trim }}}}{end}{after}"
    return f"{bos}{LOOP}{body}{{% endfor %}}{GO}{start.format(name=assistant)}{{% endif %}}"


THINKING = (
    f"{LOOP}<|im_start|>{{{{ m['role'] }}}}\n{ASSISTANT}<think>\n\n</think>\n\n{{% endif %}}{{{{ m['content'] }}}}"
    f"<|im_end|>\n{{% endfor %}}{GO}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
DATED = "<|start_header_id|>system<|end_header_id|>\n\nToday Date: {date}<|eot_id|>"
LLAMA3 = turns("<|start_header_id|>{name}<|end_header_id|>\n\n", "<|eot_id|>", bos="<s>", after="")
# family -> (template, special tokens beside <s> </s> <pad>, what ends a turn, white space before an answer)
FAMILIES = {
    "ChatML": (turns("<|im_start|>{name}\n", "<|im_end|>"), ["<|im_start|>", "<|im_end|>"], "<|im_end|>", ""),
    "Llama 2": (
        f"{LOOP}{USER}<s>[INST] {{{{ m['content'] }}}} [/INST]{{% else %}}"
        " {{ m['content'] | trim }} </s>{% endif %}{% endfor %}",
        [],
        "</s>",
        " ",
    ),
    "Llama 3": (
        LLAMA3,
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|eot_id|>",
        "",
    ),
    "Llama 3.2": (
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        + DATED.format(date="{{ date_string }}")
        + LLAMA3,
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|eot_id|>",
        "",
    ),
    "Granite": (
        "<|start_of_role|>system<|end_of_role|>Today is {{ strftime_now('%B %d, %Y') }}.<|end_of_text|>\n"
        + turns("<|start_of_role|>{name}<|end_of_role|>", "<|end_of_text|>"),
        ["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
        "<|end_of_text|>",
        "",
    ),
    "Gemma": (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + turns("<start_of_turn>{name}\n", "<end_of_turn>", ("user", "model", "-"), bos="<s>"),
        ["<start_of_turn>", "<end_of_turn>"],
        "<end_of_turn>",
        "",
    ),
    "Phi 3": (
        turns("<|{name}|>\n", "<|end|>") + "{% if not add_generation_prompt %}</s>{% endif %}",
        ["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"],
        "<|end|>",
        "",
    ),
    "Mistral": (
        f"<s>{LOOP}{USER}[INST] {{{{ m['content'] }}}}[/INST]{{% else %}} {{{{ m['content'] }}}}</s>"
        "{% endif %}{% endfor %}",
        ["[INST]", "[/INST]"],
        "</s>",
        " ",
    ),
    "Zephyr": (turns("<|{name}|>\n", "</s>"), ["<|user|>", "<|assistant|>", "<|system|>"], "</s>", ""),
    "Vicuna": (
        f"<s>{LOOP}{USER}USER: {{{{ m['content'] }}}} {{% else %}}ASSISTANT: {{{{ m['content'] }}}}</s>"
        f"{{% endif %}}{{% endfor %}}{GO}ASSISTANT:{{% endif %}}",
        [],
        "</s>",
        " ",
    ),
    "Command R": (
        turns(
            "<|START_OF_TURN_TOKEN|><|{name}|>",
            "<|END_OF_TURN_TOKEN|>",
            ("USER_TOKEN", "CHATBOT_TOKEN", "SYSTEM_TOKEN"),
            bos="<s>",
            after="",
        ),
        ["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"],
        "<|END_OF_TURN_TOKEN|>",
        "",
    ),
    "DeepSeek": (
        f"<s>{LOOP}{USER}<|User|>{{{{ m['content'] }}}}{{% else %}}<|Assistant|>{{{{ m['content'] }}}}"
        f"<|end_of_sentence|>{{% endif %}}{{% endfor %}}{GO}<|Assistant|>{{% endif %}}",
        ["<|User|>", "<|Assistant|>", "<|end_of_sentence|>"],
        "<|end_of_sentence|>",
        "",
    ),
    "Qwen 3": (THINKING, ["<|im_start|>", "<|im_end|>"], "<|im_end|>", ""),
    "a space after the name": (
        f"{LOOP}{{{{ m['role'] }}}}: {{{{ m['content'] }}}}</s>\n{{% endfor %}}{GO}assistant: {{% endif %}}",
        [],
        "</s>",
        " ",
    ),
    "no special token": (tiny.CHAT, [], "</s>", ""),
}
families = pytest.mark.parametrize("family", FAMILIES)
ANSWERS = ["It is Paris.", "Naïve – 日本", "two\nlines", "\n\nlate", " early", "a", "</s"]


def tokenizer_of(family):
    made = tiny.tokenizer()
    made.chat_template, special, _, _ = FAMILIES[family]
    made.add_special_tokens({"additional_special_tokens": special})
    return made


@families
def test_an_answer_ends_where_the_template_ends_a_turn(family):
    tokenizer, (_, _, end, between) = tokenizer_of(family), FAMILIES[family]
    template = Template()
    assert template.turn(tokenizer) == (
        "" if family == "a space after the name" else between,
        None if family == "no special token" else tokenizer.convert_tokens_to_ids(end),
    )
    for answer in ANSWERS:
        prompt, response = template.encode(tokenizer, "Which city?", answer)
        assert response[-1] == tokenizer.convert_tokens_to_ids(end)
        assert tokenizer.decode(response[:-1]) == between + answer
        assert tokenizer.decode(prompt).count("Which city?") == 1


@families
def test_the_question_asked_is_the_question_trained(family):
    tokenizer = tokenizer_of(family)
    for prompt in ("Which city?", "a", "ends in a space ", "日本?", "two\nlines\n"):
        asked = Template().encode_prompt(tokenizer, prompt)
        for answer in ANSWERS:
            assert Template().encode(tokenizer, prompt, answer)[0] == asked


# The one without a special token writes <s> before an answer and not where it asks for one.
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"no special token"}))
def test_the_whole_is_what_the_template_renders_of_the_turn(family):
    """Up to the token that ends it."""
    tokenizer = tokenizer_of(family)
    messages = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "This."}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, **Template().dated(tokenizer))
    expected = rendered[: rendered.index("This.") + 5].replace("<think>\n\n</think>\n\n", "")
    prompt, response = Template().encode(tokenizer, "Which?", "This.")
    assert tokenizer.decode(prompt + response[:-1]) == expected


@families
def test_generation_stops_where_training_ends(family, tmp_path):
    folder = tiny.write(tmp_path)
    tokenizer = tokenizer_of(family)
    tokenizer.save_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder)
    network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    network.save_pretrained(folder)
    model = load_source("own", str(folder), "float32", None, Template())
    end = Template().encode(tokenizer, "x", "y")[1][-1]
    assert end in model.ends and tokenizer.eos_token_id in model.ends
    letters = iter([*map(ord, "AB"), None, *map(ord, "CD")])
    wanted = [end if letter is None else tokenizer.convert_tokens_to_ids(chr(letter)) for letter in letters]
    said = says(model, wanted)
    assert (said.response, said.ended, said.tokens) == ("AB", True, 3)


def says(model, wanted):
    """The record of an answer by a model whose next tokens are these."""
    head, place = model.model.get_output_embeddings(), iter(wanted)

    def next_one(module, inputs, logits):
        made = logits * 0
        made[..., next(place)] = 1
        return made

    hook = head.register_forward_hook(next_one)
    records = records_of({"s": [Example("1", "x")]})
    try:
        generate(model, records, max_new_tokens=len(wanted))
    finally:
        hook.remove()
    return records[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"eos_token_id": [2, 258]},
        {"num_return_sequences": 3, "num_beams": 3},
        {"return_dict_in_generate": True, "output_scores": True},
        {"do_sample": True, "temperature": 0.1, "top_k": 1, "repetition_penalty": 5.0},
        {"min_new_tokens": 5, "suppress_tokens": [35], "forced_eos_token_id": 40},
        {"max_length": 3, "max_new_tokens": 1, "stop_strings": "A"},
        {"bad_words_ids": [[35]], "begin_suppress_tokens": [35], "no_repeat_ngram_size": 1},
        {"penalty_alpha": 0.6, "dola_layers": "high", "prompt_lookup_num_tokens": 2},
        {"cache_implementation": "static", "encoder_no_repeat_ngram_size": 1, "guidance_scale": 3.0},
    ],
)
def test_of_a_generation_config_an_answer_reads_the_ends_alone(settings, tmp_path):
    folder = tiny.write(tmp_path)
    model = load_source("own", str(folder), "float32", None, Template())
    for name, value in settings.items():
        setattr(model.model.generation_config, name, value)
    a, b, stop = (model.tokenizer.convert_tokens_to_ids(letter) for letter in "AB~")
    if "eos_token_id" in settings:
        model.model.generation_config.eos_token_id = [2, stop]
        assert model.ends == [2, stop]
        said = says(model, [a, b, stop, a, b])
        assert (said.response, said.ended, said.tokens) == ("AB", True, 3)
    else:
        said = says(model, [a, a, b, a, a, b, 2, a])
        assert (said.response, said.ended, said.tokens) == ("AABAAB", True, 7)
    left = model.model.generation_config.to_dict()
    assert all(left[name] == value for name, value in settings.items() if name != "eos_token_id")


def test_the_date_is_the_same_every_day():
    for family in ("Llama 3.2", "Granite"):
        tokenizer = tokenizer_of(family)
        assert Template().writes_date(tokenizer)
        for date, written in (("2024-07-26", "26 Jul 2024"), ("2031-01-02", "02 Jan 2031")):
            text = Template(date=date).prompt(tokenizer, "x")
            month = {"26 Jul 2024": "July 26, 2024", "02 Jan 2031": "January 02, 2031"}[written]
            assert written in text or month in text
    assert not Template().writes_date(tokenizer_of("ChatML"))


def test_arguments_of_the_template():
    tokenizer = tokenizer_of("Qwen 3")
    plain, quiet = Template(), Template(arguments={"enable_thinking": False})
    assert plain.prompt(tokenizer, "x").endswith("<|im_start|>assistant\n")
    assert quiet.prompt(tokenizer, "x").endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert quiet.encode(tokenizer, "x", "y")[0] == quiet.encode_prompt(tokenizer, "x")


def test_arguments_that_are_lists_and_mappings():
    tokenizer = tokenizer_of("Qwen 3")
    template = Template(arguments={"tools_in_use": ["search"], "more": {"a": [1]}, "enable_thinking": False})
    prompt, response = template.encode(tokenizer, "x", "y")
    assert prompt == Template(arguments={"enable_thinking": False}).encode_prompt(tokenizer, "x")
    assert response[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_a_template_that_refuses_a_system_message_is_two_lines():
    with pytest.raises(UserError, match="cannot be rendered with a system message: System role not supported"):
        Template(system="Be kind").check(tokenizer_of("Gemma"), "own")


@pytest.mark.parametrize(
    "broken", ["{{ messages[7]['content'] }}", "{{ raise_exception('no') }}", "{% for %}", "{{ x.y }}"]
)
def test_a_template_that_cannot_be_rendered_is_two_lines(broken):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = broken
    with pytest.raises(UserError, match="cannot be rendered"):
        Template().check(tokenizer, "own")


def test_a_base_model_is_asked_in_plain_text_and_told_so(tmp_path, capsys):
    folder = tiny.write(tmp_path)
    bare = tiny.tokenizer()
    bare.chat_template = None
    for path in folder.glob("*.jinja"):
        path.unlink()
    bare.save_pretrained(folder)
    model = load_source("own", str(folder), "float32", None, Template(system="Be brief."))
    assert capsys.readouterr().out.startswith("own has no chat template, so it is asked in plain text: 'Be brief.")
    asked, answer = model.template.encode(model.tokenizer, "Who?", "I.")
    assert model.tokenizer.decode(asked + answer) == "Be brief.\n\n### Question: Who?\n### Answer: I.</s>"
    assert asked == model.template.encode_prompt(model.tokenizer, "Who?")
    written = Template(text="{prompt}:")
    assert written.fitting(bare) is written
    bare.eos_token = None
    with pytest.raises(UserError, match="'own' has no end token"):
        Template(text="{prompt}").check(bare, "own")
