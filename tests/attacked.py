"""A tiny model that has learnt something, and what it says, for the tests of attacks."""

import torch

from unlearnkit.attacks import Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.losses import NLL
from unlearnkit.measures import RougeL
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.runs.moments import bind_attacks
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Context

SCENE = Scene(Data("none", {}, {}), seed=3)


def trained(model):
    """The model with something learnt: an adapter that is not zero, or other weights."""
    model.weights.make_trainable()
    torch.manual_seed(1)
    for name, weight in model.model.named_parameters():
        if weight.requires_grad and weight.dim() > 1 and ("lora_B" in name or "lora" not in name):
            weight.data += 0.05 * torch.randn_like(weight)
    return model


def logits(model, state="current"):
    with model.state(state) as network, torch.no_grad():
        return network(torch.arange(3, 11)[None]).logits


def bound(attack):
    attack.bind("it", SCENE)
    return attack


def taught(source, said, folder, steps=100):
    """The model in a folder, trained whole to answer questions so: a question and an answer each."""
    pairs = said.items() if isinstance(said, dict) else said
    rows = [Example(str(number), *pair) for number, pair in enumerate(pairs)]
    model = load_source("tiny", str(source), "float32", None, Template())
    arguments = {"learning_rate": 0.01, "disable_tqdm": True, "save_strategy": "no"}
    context = Context({"forget": Shuffled("forget", rows)}, 0, folder / "taught", "taught")
    return Finetune({"forget": NLL("forget")}, steps, 4, arguments=arguments)(model, context)


def before_and_under(attack, model, data):
    """How much of the right answers (ROUGE-L) it gives to the forget side's questions, and under the attack."""
    evaluation = Evaluation({"rouge_l": RougeL()}, {"forget": ["rouge_l"]}, max_new_tokens=24)
    evaluations = Evaluations({"own": evaluation}, data, 0)
    bind_attacks({"it": attack}, [], Scene(data), evaluations)
    before = evaluations.measure(model, Point("test", shared=False))
    records = attack.measure(model, evaluations, "it", before)
    assert [(r.id, r.prompt) for r in records["own"]] == [
        (row.id, attack.question(row.prompt)) for splits in data.sets.values() for row in splits["test"]
    ]
    return tuple(evaluations.compute(each)["own"]["x"]["rouge_l"]["value"] for each in (before, records))
