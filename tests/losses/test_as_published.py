"""What KnowUnDo's and SKU's code computes, in plain torch on padded rows of a plain model, against a training here."""

import json

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from unlearnkit.data.listed import Listed
from unlearnkit.data.streams import Shuffled
from unlearnkit.losses import NLL, Answers, KLAsPublished
from unlearnkit.models.padding import pad_of
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Context

ROWS = 8  # of the list in a step
WIDTH = 256


def first_step(model, streams, terms, folder, accumulation=1, batch_size=ROWS):
    quiet = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-3}
    Finetune(terms, max_steps=1, batch_size=batch_size, accumulation=accumulation, arguments=quiet)(
        model, Context(streams, 0, folder, "finetune", None, 0)
    )
    row = json.loads((folder / "log.jsonl").read_text().splitlines()[0])
    return {key.removeprefix("terms/"): value for key, value in row.items() if key.startswith("terms/")}


def encoded(model, groups):
    return [model.template.encode(model.tokenizer, row.prompt, row.response) for (row,) in groups]


def answer_mean(plain, prompt, response):
    """Of one row alone: batch size 1."""
    ids = torch.tensor([[*prompt, *response]])
    labels = torch.tensor([[*[-100] * len(prompt), *response]])
    with torch.no_grad():
        return float(F.cross_entropy(plain(ids).logits[0, :-1].float(), labels[0, 1:]))


def cross_entropy_over_all_places(plain, reference, prompt, response, width, pad):
    text = [*prompt, *response][:-1]
    ids = torch.tensor([text + [pad] * (width - len(text))])
    mask = torch.tensor([[1] * len(text) + [0] * (width - len(text))])
    with torch.no_grad():
        p = reference(ids, attention_mask=mask).logits.softmax(-1)
        q = plain(ids, attention_mask=mask).logits.softmax(-1)
    return float(-(p * torch.log(q + 1e-12)).sum(-1).mean())


@pytest.fixture
def plain(tiny_folder):
    return AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()


@pytest.fixture
def listed(examples):
    streams = {name: Shuffled(name, examples[name]) for name in ("forget", "retain")}
    return {side: Listed("forget", "retain", side).bind(streams) for side in streams}


@pytest.mark.parametrize("accumulation", [1, ROWS])
def test_ascent_and_descent_and_kl_of_one_list(accumulation, tiny_model, plain, listed, tmp_path):
    drawn = {side: encoded(tiny_model, stream.draw(0, 0, ROWS)) for side, stream in listed.items()}
    assert sum(map(len, drawn.values())) == ROWS and all(drawn.values())
    pad = pad_of(tiny_model.tokenizer)
    expected = {side: sum(answer_mean(plain, *row) for row in rows) / ROWS for side, rows in drawn.items()}
    kl = sum(cross_entropy_over_all_places(plain, plain, *row, WIDTH, pad) for row in drawn["retain"]) / ROWS
    terms = {
        "forget": NLL("forget", -1.0, mean="step"),
        "retain": NLL("retain", mean="step"),
        "kl": KLAsPublished("retain", length=WIDTH, mean="step"),
    }
    found = first_step(tiny_model, listed, terms, tmp_path, accumulation)
    assert found == pytest.approx({**expected, "kl": kl}, rel=1e-5)


def test_sku_counts_answers_alike_and_pads_to_the_longest(tiny_model, plain, examples, tmp_path):
    streams = {name: Shuffled(name, examples[name]) for name in ("forget", "retain")}
    rows = {name: encoded(tiny_model, stream.draw(0, 0, 4)) for name, stream in streams.items()}
    width = max(len(prompt) + len(response) - 1 for prompt, response in rows["retain"])
    pad = pad_of(tiny_model.tokenizer)
    expected = {
        "forget": sum(answer_mean(plain, *row) for row in rows["forget"]) / 4,
        "kl": sum(cross_entropy_over_all_places(plain, plain, *row, width, pad) for row in rows["retain"]) / 4,
    }
    terms = {"forget": NLL("forget", mean="answers"), "kl": KLAsPublished("retain", -0.5)}
    assert first_step(tiny_model, streams, terms, tmp_path, batch_size=4) == pytest.approx(expected, rel=1e-5)


def test_the_reference_is_p_and_its_share_of_a_step():
    generator = torch.Generator().manual_seed(0)
    q, p = (torch.randn(2, 5, 7, generator=generator) for _ in range(2))
    answers = Answers(torch.empty(3, 0), torch.zeros(3, dtype=torch.long), [2, 1], 9, 4, step_answers=16)
    answers.padded, answers.reference_padded = q, p
    sums = -(p.softmax(-1) * q.softmax(-1).log()).sum(-1).mean(-1).sum()
    assert KLAsPublished("retain")(answers).item() == pytest.approx(float(sums) / 4, rel=1e-5)
    assert KLAsPublished("retain", mean="step")(answers).item() == pytest.approx(float(sums) / 16, rel=1e-5)


def test_its_gradient_is_the_kls_over_all_places():
    generator = torch.Generator().manual_seed(1)
    q, p = torch.randn(1, 4, 6, generator=generator).requires_grad_(), torch.randn(1, 4, 6, generator=generator)
    answers = Answers(torch.empty(1, 0), torch.zeros(1, dtype=torch.long), [1], 1, 1, step_answers=1)
    answers.padded, answers.reference_padded = q, p
    KLAsPublished("retain")(answers).backward()
    torch.testing.assert_close(q.grad, (q.softmax(-1) - p.softmax(-1)).detach() / 4, rtol=1e-4, atol=1e-6)
