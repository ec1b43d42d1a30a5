"""Relearning brings back what an adapter only hides, and nothing of what a model never saw."""

import pytest
import torch
from attacked import logits

from unlearnkit.attacks import Relearn, Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.losses import NLL
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Context

# All facts have one rule, so that some of them, learnt anew, bring the others back.
FACTS = [Example(f"f{n}", f"Say {n}", "zqzq zqzq") for n in range(16)]
DATA = Data("it", {"forget": FACTS}, {"forget": {"test": FACTS}}, roles={"forget": "forget"})
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
ARGUMENTS = {"learning_rate": 0.01, "lr_scheduler_type": "constant", "disable_tqdm": True, "save_strategy": "no"}


def attack(folder, **settings):
    own = Relearn(**{"steps": [12, 24], "rates": [0.01], "batch_size": 4, **settings})
    own.bind("relearn", Scene(DATA, seed=1, folder=folder))
    return own


def probability(model, rows):
    records = records_of({"x": rows})
    force_answers(model, records)
    return sum(sum(r.answer_log_probs) / len(r.answer_log_probs) for r in records) / len(records)


def held(own):
    return [row for row in FACTS if own.asks(row)]


@pytest.fixture(scope="module")
def taught(tiny_folder, tmp_path_factory):
    """A model that knows all the facts, trained whole."""
    folder = tmp_path_factory.mktemp("taught")
    model = load_source("tiny", str(tiny_folder), "float32", None, Template())
    context = Context({"forget": Shuffled("forget", FACTS)}, 0, folder / "run", "taught")
    Finetune({"forget": NLL("forget")}, 40, 4, arguments=ARGUMENTS)(model, context).save(folder / "model")
    return folder / "model"


@pytest.mark.parametrize("lora", [None, LORA])
def test_it_brings_back_what_an_adapter_hides_and_leaves_the_model_alone(lora, taught, tmp_path):
    model = load_source("tiny", str(taught), "float32", LORA, Template())
    knew = probability(model, FACTS)
    context = Context({"forget": Shuffled("forget", FACTS)}, 0, tmp_path / "run", "hide")
    model = Finetune({"forget": NLL("forget", weight=-1.0)}, 12, 4, arguments=ARGUMENTS)(model, context)
    own = attack(tmp_path / "attack", lora=lora)
    loaded, start = logits(model, "loaded"), logits(model, "start")
    hidden, weights = probability(model, held(own)), [w.clone() for w in model.model.parameters()]
    with own.on(model) as attacked:
        back = probability(attacked, held(own))
        assert logits(attacked, "loaded").equal(loaded) and logits(attacked, "start").equal(start)
    assert probability(model, held(own)) == hidden
    assert knew > -0.5 and hidden < -5 and back > -1.0
    assert all(torch.equal(now, then) for now, then in zip(model.model.parameters(), weights, strict=True))
    assert not (tmp_path / "attack").exists()
    assert [(row["rate"], row["step"]) for row in own.details["tried"]] == [(0.01, 12), (0.01, 24)]
    assert own.details["log_prob"] == max(row["log_prob"] for row in own.details["tried"])


def test_what_has_no_rule_and_was_never_seen_does_not_come_back(full_model, tmp_path):
    """Answers of random letters: half of them say nothing of the others."""
    drawn = torch.Generator().manual_seed(0)
    letters = ["".join(chr(97 + n) for n in torch.randint(26, (12,), generator=drawn)) for _ in range(16)]
    rows = [Example(f"r{n}", f"Code {n}", text) for n, text in enumerate(letters)]
    own = Relearn(steps=[80], rates=[0.005], batch_size=4)
    own.bind("relearn", Scene(Data("it", {"forget": rows}, {}), seed=1, folder=tmp_path / "attack"))
    rest = [row for row in rows if own.asks(row)]
    with own.on(full_model) as attacked:
        known, others = probability(attacked, own.taught), probability(attacked, rest)
    assert known > -1.0 and others < -2.5  # a letter of 26 by chance: -3.26


def test_relearning_on_text_with_the_same_rule_brings_it_back_and_on_other_text_it_does_not(taught, tmp_path):
    model = load_source("tiny", str(taught), "float32", LORA, Template())
    context = Context({"forget": Shuffled("forget", FACTS)}, 0, tmp_path / "run", "hide")
    model = Finetune({"forget": NLL("forget", weight=-1.0)}, 12, 4, arguments=ARGUMENTS)(model, context)
    found = {}
    for answer in ("zqzq zqzq", "what is seen"):
        beside = [Example(f"n{n}", f"Tell {n}", answer) for n in range(8)]
        own = Relearn(stream="retain", share=1.0, steps=[24], rates=[0.01])
        own.bind(
            "relearn", Scene(Data("it", {"forget": FACTS, "retain": beside}, DATA.sets, roles=DATA.roles), 1, tmp_path)
        )
        with own.on(model) as attacked:
            found[answer] = probability(attacked, held(own))
    assert found["zqzq zqzq"] > -1.0 and found["what is seen"] < -3


def test_the_best_of_several_rates_is_the_one_that_is_measured(full_model, tmp_path):
    own = attack(tmp_path / "attack", rates=[1e-6, 0.01])
    with own.on(full_model) as attacked:
        assert own.details["rate"] == 0.01 and len(own.details["tried"]) == 4
        assert probability(attacked, own.choosing) == pytest.approx(own.details["log_prob"], rel=1e-5)
