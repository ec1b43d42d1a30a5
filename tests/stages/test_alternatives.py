"""Alternatives are sampled from the start, kept by content, the same on any number of ranks; too few are refused."""

import pytest
import torch

from unlearnkit.data.alternatives import Alternatives, request
from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import DPO
from unlearnkit.records.decoding import Decoding
from unlearnkit.records.generate import generate, records_of
from unlearnkit.stages import Context, Finetune
from unlearnkit.stages import alternatives as module
from unlearnkit.stages.alternatives import invent

QUIET = {"disable_tqdm": True, "save_strategy": "no", "logging_steps": 1}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "records"


def stream(examples, **settings):
    settings = {"count": 3, "tokens": 6, **settings}
    return Alternatives("forget", **settings).bind({"forget": Shuffled("forget", examples["forget"])})


def invented(model, examples, seed=0, steps=3, **settings):
    made = stream(examples, **settings)
    invent({"preferences": made, "forget": made.prompts}, model, seed, steps, 2)
    return made.alternatives


def test_they_are_what_the_start_says_to_the_request(tiny_model, examples):
    found = invented(tiny_model, examples)
    rows = examples["forget"]
    assert list(found) == rows and all(len(set(texts)) == 3 for texts in found.values())
    asked = [Example(str(number), request(row)) for number, row in enumerate(rows)]
    records = records_of({"s": asked}, {"s": 3})
    generate(tiny_model, records, 6, decoding=Decoding(3, 1.0, seed=0))
    assert [text for texts in found.values() for text in texts] == [record.response for record in records]


def test_whatever_the_model_has_learnt_since(tiny_model, examples, monkeypatch, tmp_path):
    before = invented(tiny_model, examples)
    tiny_model.weights.make_trainable()
    with torch.no_grad():
        for weight in tiny_model.model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn_like(weight)
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "another"))
    assert invented(tiny_model, examples) == before


def test_kept_by_content(lora_model, examples, cache, monkeypatch):
    first = invented(lora_model, examples)
    assert invented(lora_model, examples, seed=1) != first and len(list(cache.iterdir())) == 2
    monkeypatch.setattr(module, "generate", None)
    assert invented(lora_model, examples) == first
    assert invented(lora_model, examples, steps=30) == first  # an epoch has drawn all rows
    for other in ({"temperature": 0.9}, {"tokens": 5}, {"count": 2}, {"steps": 1}):
        with pytest.raises(TypeError):
            invented(lora_model, examples, **other)


def test_a_training_starts_at_ln_2(tiny_model, examples, tmp_path):
    """Whatever the alternatives are, ratio 1 on both sides: they reach the right places."""
    named = {name: Shuffled(name, rows) for name, rows in examples.items()}
    named["preferences"] = stream(examples)
    seen = []
    stage = Finetune({"term": DPO("preferences")}, max_steps=2, batch_size=2, arguments=QUIET)
    stage(tiny_model, Context(named, 0, tmp_path, stage="finetune", log=seen.append))
    assert seen[0]["terms/term"] == pytest.approx(0.6931472, rel=1e-4)


def says(model, texts):
    """From now on the model's next tokens are these letters, in turn for each row of a batch."""
    head = model.model.get_output_embeddings()
    ids = [[*map(model.tokenizer.convert_tokens_to_ids, text), model.tokenizer.eos_token_id] for text in texts]
    place = {"step": 0}

    def chosen(module, inputs, logits):
        if len(logits) < len(ids):  # what all of them begin with
            return logits
        step, made = place["step"], torch.full_like(logits, -1e9)
        for row in range(logits.shape[0]):
            letters = ids[row % len(ids)]
            made[row, -1, letters[min(step, len(letters) - 1)]] = 0
        place["step"] = 0 if step == max(map(len, ids)) - 1 else step + 1
        return made

    return head.register_forward_hook(chosen)


@pytest.mark.parametrize(
    ("texts", "have", "fix"),
    [
        (["No", "No", "No"], 1, "Set streams.preferences.count=1, or streams.preferences.temperature= above 1"),
        (["No", "", "Oh"], 2, "Set streams.preferences.count=2, or"),
        (["", "", ""], 0, "Set streams.preferences.temperature= above 1, or take such rows out"),
        (["It is", "It is", "It is"], 0, "Set streams.preferences.temperature= above 1, or take such rows out"),
    ],
)
def test_fewer_than_asked_are_two_lines(texts, have, fix, full_model):
    rows = {"forget": [Example("f0", "What?", "It is")]}
    hook = says(full_model, [[letter if letter != " " else "Ġ" for letter in text] for text in texts])
    try:
        with pytest.raises(UserError) as caught:
            invented(full_model, rows, steps=1, tokens=8)
    finally:
        hook.remove()
    assert f"asks for 3 alternatives to each answer: in 4 rounds tiny wrote {have} to 'What?'" in caught.value.what
    assert caught.value.fix.startswith(fix) and "\n" not in caught.value.what + caught.value.fix


def test_no_room_for_them_is_two_lines(full_model, examples):
    with pytest.raises(
        UserError, match="takes .* tokens and up to 1000 for it: the context of 'tiny' holds 1024"
    ) as told:
        invented(full_model, examples, tokens=1000)
    assert told.value.fix.startswith("Set streams.preferences.tokens= lower")
