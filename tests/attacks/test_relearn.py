"""Relearning brings back what an adapter only hides, and nothing of what a model never saw."""

import pytest
import torch
from attacked import logits

from unlearnkit.attacks import Relearn, Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
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


def test_the_rows_are_divided_by_their_content_and_none_is_in_two_parts(tmp_path):
    own = attack(tmp_path / "a", share=0.5)
    parts = [own.taught, own.choosing, held(own)]
    assert [len(part) for part in parts] == [8, 4, 4]
    assert sorted(row.id for part in parts for row in part) == sorted(row.id for row in FACTS)
    other = Relearn(share=0.5)
    other.bind("relearn", Scene(Data("it", {"forget": FACTS[::-1]}, DATA.sets, roles=DATA.roles), seed=9))
    assert {row.id for row in other.taught} == {row.id for row in own.taught}


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
    assert [(row["rate"], row["step"]) for row in own.found["tried"]] == [(0.01, 12), (0.01, 24)]
    assert own.found["log_prob"] == max(row["log_prob"] for row in own.found["tried"])


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


def test_text_beside_and_rows_of_a_file_are_trained_and_forget_rows_are_chosen_on_and_tested(tmp_path):
    beside = [Example(f"n{n}", f"Tell {n}", "mnmn") for n in range(6)]
    data = Data("it", {"forget": FACTS, "retain": beside}, DATA.sets, roles=DATA.roles)
    (tmp_path / "own.jsonl").write_text("".join(f'{{"prompt": "Ask {n}", "response": "klkl"}}\n' for n in range(4)))
    for settings, prompts in (({"stream": "retain"}, "Tell"), ({"file": str(tmp_path / "own.jsonl")}, "Ask")):
        own = Relearn(**settings, share=0.5)
        own.bind("relearn", Scene(data, folder=tmp_path))
        assert len(own.taught) == {"Tell": 3, "Ask": 2}[prompts]
        assert all(row.prompt.startswith(prompts) for row in own.taught)
        assert len(own.choosing) == len(held(own)) == 8 and not set(own.choosing) & set(held(own))


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
        assert own.found["rate"] == 0.01 and len(own.found["tried"]) == 4
        assert probability(attacked, own.choosing) == pytest.approx(own.found["log_prob"], rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 0.0}, "share=0 of 16 rows trains on 0"),
        ({"share": 1.0}, "leaves 0 of 16 to test on"),
        ({"stream": "nowhere"}, "stream=nowhere is no stream of the data 'it' .streams: forget"),
        ({"steps": []}, "steps=.. has no value above 0"),
        ({"steps": [0, 5]}, "has no value above 0"),
        ({"rates": []}, "rates=.. has no value above 0"),
    ],
)
def test_what_leaves_nothing_to_do_is_refused(settings, said, tmp_path):
    with pytest.raises(UserError, match=said):
        attack(tmp_path, **settings)
