"""Greedy answers against a plain loop: one prompt at a time, no cache, no padding."""

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.models import load_source, tiny
from unlearnkit.models.generation import beginning_cache
from unlearnkit.models.templates import Template
from unlearnkit.records.generate import Frame, frame, generate, records_of

END = 2
SETS = {
    "unlearned": [
        Example("u1", "a much longer prompt than the others", category="petty"),
        Example("u2", "b"),
    ],
    "normal": [Example("n1", "hello there"), Example("n2", ""), Example("n3", "b"), Example("n4", "naïve?")],
}
EXAMPLES = [(name, example) for name, rows in SETS.items() for example in rows]


def answered(model, sets, max_new_tokens, batch_size=64):
    records = records_of(sets)
    generate(model, records, max_new_tokens, batch_size)
    return records


@torch.no_grad()
def plain(model, prompt, max_new_tokens):
    ids, new = model.template.encode_prompt(model.tokenizer, prompt), []
    for _ in range(max_new_tokens):
        new.append(model.model(input_ids=torch.tensor([ids + new]), use_cache=False).logits[0, -1].argmax().item())
        if new[-1] == END:
            break
    return new


@pytest.fixture(scope="module", params=["llama", "opt", "gpt2"])
def model(request, tmp_path_factory):
    """A random model that ends some answers early: its end token swaps places with one that it likes."""
    folder = tiny.write(tmp_path_factory.mktemp("model"), request.param, seed=4)
    model = load_source("tiny", str(folder), "float32", None, Template())
    head = model.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())  # untied
    torch.manual_seed(0)
    head.weight.data.normal_(std=0.5)
    liked = plain(model, "b", 6)[-1]
    head.weight.data[[END, liked]] = head.weight.data[[liked, END]]
    return model


def test_equals_a_plain_loop(model):
    records = answered(model, SETS, max_new_tokens=12)
    expected = [plain(model, example.prompt, 12) for _, example in EXAMPLES]
    assert {ids[-1] == END for ids in expected} == {True, False}  # some end, some are cut off
    for record, ids in zip(records, expected, strict=True):
        assert record.tokens == len(ids)
        assert record.ended == (ids[-1] == END)
        assert record.response == model.tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_what_all_prompts_begin_with_is_computed_once(model):
    begun = "You answer questions of all kinds, "
    sets = {"s": [Example(str(n), begun + rest) for n, rest in enumerate(("in short", "", "at length and in rhyme"))]}
    widths = []
    hook = model.model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    records = answered(model, sets, max_new_tokens=12)
    hook.remove()
    assert widths[:3] == [(1, 42), (3, 33), (3, 1)]
    for record, example in zip(records, sets["s"], strict=True):
        assert (
            record.response
            == model.tokenizer.decode(plain(model, example.prompt, 12), skip_special_tokens=True).strip()
        )


@pytest.mark.parametrize("architecture", ["mistral", "gemma2"])
def test_layers_with_a_window_begin_anew(architecture, tmp_path):
    folder = tiny.write(tmp_path / "model", architecture)
    model = load_source("tiny", str(folder), "float32", None, Template())
    assert beginning_cache(model.model, list(range(3, 23)), 2, model.device) is None


def test_a_frame_of_prompts():
    alike = list(range(10, 18))
    assert frame([[*alike, 1, 2], [*alike, 3]]) == Frame(10, 8)
    assert frame([[*alike, 1], [*alike]]) == Frame(9)  # all but the last of the shorter: seven
    assert frame([[*alike, 1, 2]]) == Frame(10)
    assert frame([[*alike, 1]] * 3) == Frame(9, 8)


def test_order_and_fields(model):
    records = answered(model, SETS, max_new_tokens=2, batch_size=2)
    assert [(r.set, r.id, r.prompt, r.category) for r in records] == [
        (name, example.id, example.prompt, example.category) for name, example in EXAMPLES
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_batch_size_does_not_matter(model, batch_size):
    assert answered(model, SETS, 12, batch_size) == answered(model, SETS, 12)


def test_an_end_where_the_answer_would_be_cut_off(model):
    length = len(plain(model, "b", 12))
    record, short = (answered(model, {"s": [Example("b", "b")]}, n)[0] for n in (length, length - 1))
    assert (record.tokens, record.ended) == (length, True)
    assert (short.tokens, short.ended) == (length - 1, False)


def test_greedy_whatever_the_model_was_saved_with(model, monkeypatch):
    expected = answered(model, SETS, 12)
    saved = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 5, "repetition_penalty": 3.0}
    saved |= {"no_repeat_ngram_size": 2, "num_beams": 2}
    for name, value in saved.items():
        monkeypatch.setattr(model.model.generation_config, name, value)
    assert answered(model, SETS, 12) == expected


def test_an_adapter_generates_too(lora_model):
    before = answered(lora_model, SETS, 4)
    lora_model.weights.make_trainable()
    assert answered(lora_model, SETS, 4) == before


def test_no_examples(model):
    assert answered(model, {"unlearned": []}, 4) == []
