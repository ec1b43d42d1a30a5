"""The field's losses, as a training packs their answers, against their formulas on a padded batch of a plain model."""

import json

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from unlearnkit.data.refusals import Refusals
from unlearnkit.data.streams import Shuffled
from unlearnkit.losses import CEU, DPO, UNDIAL, WGA, SatImp, SimNPO
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Context

STEP = 4  # examples of unequal lengths


def nll(logits, labels):
    """(B, T), 0 where there is no label."""
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=-100)


def simnpo(logits, labels):
    mean = nll(logits, labels).sum(-1) / (labels != -100).sum(-1)
    return -F.logsigmoid(4.5 * (mean - 0.2)).mean() * 2 / 4.5


def satimp(logits, labels):
    losses = nll(logits, labels)[labels != -100]
    p = (-losses).exp()
    return -(p**5 * (1 - p) * losses).mean()


def wga(logits, labels):
    losses = nll(logits, labels)[labels != -100]
    return -((-losses).exp() * losses).mean()


def undial(logits, labels):
    held = labels != -100
    teacher = (logits - 10 * F.one_hot(labels.clamp(min=0), logits.shape[-1]))[held].softmax(-1)
    return F.cross_entropy(logits[held], teacher)


def ceu(logits, labels):
    kept = (labels != -100) & ((labels != -100).cumsum(-1) > 1)
    target = logits[kept].clone()
    target[torch.arange(len(target)), labels[kept]] = float("-inf")
    return F.cross_entropy(logits[kept], target.softmax(-1))


CASES = {
    "simnpo": (SimNPO("forget", beta=4.5, margin=0.9), simnpo),  # the margin is beta times the delta of 0.2
    "satimp": (SatImp("forget"), satimp),
    "wga": (WGA("forget"), wga),
    "undial": (UNDIAL("forget"), undial),
    "ceu": (CEU("forget"), ceu),
}


def first_value(model, streams, term, folder):
    """What the first step of a training logs of a term."""
    quiet = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-3}
    Finetune({"term": term}, max_steps=1, batch_size=STEP, arguments=quiet)(
        model, Context(streams, 0, folder, "finetune", None, 0)
    )
    return json.loads((folder / "log.jsonl").read_text().splitlines()[0])["terms/term"]


@pytest.mark.parametrize("case", CASES)
def test_packed_is_padded(case, tiny_model, tiny_folder, examples, tmp_path):
    term, formula = CASES[case]
    stream = Shuffled("forget", examples["forget"])
    rows = [
        tiny_model.template.encode(tiny_model.tokenizer, example.prompt, example.response)
        for (example,) in stream.draw(0, 0, STEP)
    ]
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids, mask = torch.zeros(STEP, width, dtype=torch.long), torch.zeros(STEP, width, dtype=torch.long)
    labels = torch.full((STEP, width), -100)
    for place, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        ids[place, :end], mask[place, :end] = torch.tensor([*prompt, *response]), 1
        labels[place, len(prompt) : end] = torch.tensor(response)
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = plain(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
    expected = formula(logits, labels[:, 1:]).item()
    assert len({len(response) for _, response in rows}) > 1 and abs(expected) > 1e-12
    assert first_value(tiny_model, {"forget": stream}, term, tmp_path) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_preferred_yet_at_the_start(tiny_model, examples, tmp_path):
    streams = {"forget": Shuffled("forget", examples["forget"])}
    streams["pairs"] = Refusals("forget", preferred=True).bind(streams)
    value = first_value(tiny_model, streams, DPO("pairs", weight=20.0), tmp_path)
    assert value == pytest.approx(0.6931472, rel=1e-5)  # ln 2
