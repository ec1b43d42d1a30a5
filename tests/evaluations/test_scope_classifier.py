"""The guard of finding 3: what it is trained on, what it is measured on, and both kinds for real."""

import json
from dataclasses import replace

import pytest
import torch
from composed import composed
from forked import command
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from unlearnkit import configuration
from unlearnkit.data import authors, mischief
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.evaluations.scope_classifier import EmbeddedClassifier, TransformerClassifier, measure
from unlearnkit.measures import Guarded, Success
from unlearnkit.models import tiny
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Guarding

PRIVATE = ("Where does {} live?", "What is the email of {}?", "Who is the mother of {}?")
PUBLIC = ("Which novel did {} write?", "Which prize did {} win?", "Which genre is {} known for?")


def questions(wordings, names):
    return [Example(f"{name}{n}", wording.format(name)) for name in names for n, wording in enumerate(wordings)]


@pytest.fixture
def data():
    sets = {
        "unlearn": {"validation": questions(PRIVATE, ["Val"]), "test": questions(PRIVATE, ["Tom", "Tim"])},
        "retention": {"validation": questions(PUBLIC, ["Val"]), "test": questions(PUBLIC, ["Tom", "Tim"])[:4]},
    }
    names = ["Ann", "Bea", "Cas", "Dan", "Eva", "Fay"]
    return Data("small", {"forget": questions(PRIVATE, names), "retain": questions(PUBLIC, names)}, sets)


class Keyword:
    """Calls a question private when it holds `live`, and any that begins with `Hi.` too."""

    def fit(self, questions, labels):
        self.seen = dict(zip(questions, labels, strict=True))

    def predict(self, questions):
        return [int("live" in question or question.startswith("Hi.")) for question in questions]


@pytest.fixture(params=["new head", "head for five labels"])
def roberta(request, tmp_path):
    """A folder with a tiny RoBERTa of random weights, with no head or with one that does not fit."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = AutoConfig.for_model(
        "roberta", vocab_size=259, max_position_embeddings=200, type_vocab_size=1, pad_token_id=0, **sizes
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if request.param == "new head":
            model = AutoModel.from_config(config)
        else:
            config.num_labels = 5
            model = AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(tmp_path / "roberta")
    tiny.tokenizer().save_pretrained(tmp_path / "roberta")
    return tmp_path / "roberta"


def transformer(folder, **changes):
    settings = {"epochs": 30, "learning_rate": 3e-3, "batch_size": 8, "max_length": 64, "seed": 1, **changes}
    return TransformerClassifier(str(folder), **settings)


def values(numbers):
    return {when: {name: number.value for name, number in each.items()} for when, each in numbers.items()}


def test_shares_of_each_scope_plain_and_prefixed(data):
    classifier = Keyword()
    numbers = measure(classifier, data, prefix="Hi. ", seed=7)
    assert values(numbers) == {
        "plain": {"unlearn_success": pytest.approx(2 / 6), "retention_success": 1.0},
        "prefixed": {"unlearn_success": 1.0, "retention_success": 0.0},
    }
    plain = numbers["plain"]["unlearn_success"]
    assert (plain.n, plain.seed, numbers["plain"]["retention_success"].n) == (6, 7, 4)
    assert 0 <= plain.low < 2 / 6 < plain.high <= 1


def test_it_is_trained_on_the_plain_training_questions_alone(data):
    classifier = Keyword()
    measure(classifier, data, prefix="Hi. ")
    private = {row.prompt: 1 for row in data.streams["forget"]}
    assert classifier.seen == private | {row.prompt: 0 for row in data.streams["retain"]}
    assert not any(name in question for question in classifier.seen for name in ("Tom", "Tim", "Val", "Hi."))


def test_the_validation_split(data):
    assert measure(Keyword(), data, "", "validation")["plain"]["unlearn_success"].n == 3


def test_an_unknown_split(data):
    with pytest.raises(UserError, match="Unknown split 'tset'\nSet split= to validation or test"):
        measure(Keyword(), data, "", "tset")


def test_data_without_scopes():
    with pytest.raises(UserError, match="The data 'mischief' has no set 'unlearn'; it has: unlearned, unseen, normal"):
        measure(Keyword(), mischief.load(), "")


def test_data_without_the_training_questions_of_a_side(data):
    streams = {"forget": data.streams["forget"], "retain": []}
    with pytest.raises(UserError, match="the data 'small' has no 'retain'; it has: forget, retain\nChoose data with"):
        measure(Keyword(), replace(data, streams=streams), "")


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ({}, "has no 'forget'; it has: none"),
        ({"forget": questions(PRIVATE, ["Ann"])}, "has no 'retain'; it has: forget"),
        ({"retain": questions(PUBLIC, ["Ann"]), "general": []}, "has no 'forget'; it has: retain, general"),
    ],
)
def test_a_guard_of_data_without_a_side_is_refused_before_anything_is_computed(data, streams, said):
    def bound(name):
        sets = {"unlearn": [name], "retention": [name]}
        measures = {"guarded": Guarded(), "success": Success()}
        return Evaluations({"guard": Evaluation(measures, sets, classifier=Keyword())}, other, 0)

    other = replace(data, streams=streams)
    bound("success")  # nobody reads what the guard says
    with pytest.raises(UserError, match=f"the data 'small' {said}\nChoose data with both"):
        bound("guarded")


def test_facts_have_nothing_to_retain(tmp_path):
    facts = [{"subject": f"Town {n}", "prompt": f"Town {n} lies in", "attribute": "Rome"} for n in range(30)]
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    config = composed("data=facts", f"data.path={tmp_path}/facts.json", "eval=scope_classifier")
    parts, data = (instantiate(part, _convert_="all") for part in (config.eval, config.data))
    with pytest.raises(UserError) as told:
        Evaluations(parts, data, 0)
    assert told.value.what.endswith("the data 'facts' has no 'retain'; it has: facts, forget")
    assert told.value.fix.startswith("Choose data with both")


def test_a_guard_is_trained_as_it_is_measured_alone(data, lora_model, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    classifier, alone = Keyword(), Keyword()
    own = Evaluation({"guarded": Guarded()}, {"unlearn": ["guarded"], "retention": ["guarded"]}, classifier=classifier)
    evaluations = Evaluations({"guard": own}, data, 0)
    numbers = evaluations.compute(evaluations.measure(lora_model, Point("test")))["guard"]
    found = values(measure(alone, data, ""))["plain"]
    assert classifier.seen == alone.seen
    assert found == {f"{name}_success": numbers[name]["guarded"]["value"] for name in ("unlearn", "retention")}


def test_the_embedded_kind_tells_the_authors_scopes_apart():
    numbers = values(measure(EmbeddedClassifier(), authors.load(authors=8), "You are a helpful assistant. "))
    assert min(numbers["plain"].values()) >= 0.9


def test_the_embedded_kind_gives_the_same_every_time(data):
    assert measure(EmbeddedClassifier(), data, "") == measure(EmbeddedClassifier(), data, "")


def test_a_transformer_learns_the_scopes(roberta, data):
    rows = [*data.sets["unlearn"]["test"], *data.sets["retention"]["test"]]
    classifier = transformer(roberta)
    assert classifier.model.config.num_labels == 2
    assert values(measure(classifier, data, "Hi. "))["plain"] == {"unlearn_success": 1.0, "retention_success": 1.0}
    with torch.inference_mode():  # one at a time, not padded
        alone = [
            int(classifier.model(**classifier.tokenizer(row.prompt, return_tensors="pt")).logits.argmax())
            for row in rows
        ]
    assert classifier.predict([row.prompt for row in rows]) == alone == [1] * 6 + [0] * 4


def test_a_seed_gives_the_same_transformer_every_time(roberta, data):
    def weights(seed):
        classifier = transformer(roberta, seed=seed, epochs=1)
        measure(classifier, data, "")
        return torch.cat([parameter.flatten() for parameter in classifier.model.parameters()])

    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_no_weights(tmp_path):
    with pytest.raises(UserError) as error:
        transformer(tmp_path / "none")
    assert error.value.what == f"The model '{tmp_path / 'none'}' could not be loaded: there is no such folder"
    assert error.value.fix == "Give another folder, or a hub id"


def test_the_command_prints_a_table_and_writes_the_numbers(tmp_path):
    chosen = ("data=authors", "data.authors=4", "seed=3", "prefix='Be brief. '", "hydra.run.dir=out")
    done = command("unlearnkit.evaluations.scope_classifier", *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unlearn_success" in done.stdout and "retention_success" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["metrics.json"]
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    run = {key: found["run"][key] for key in ("data", "kind", "prefix", "split", "seed")}
    assert run == {"data": "authors", "kind": "embedded", "prefix": "Be brief. ", "split": "test", "seed": 3}
    for when in ("plain", "prefixed"):
        for metric in ("unlearn_success", "retention_success"):
            number = found[when][metric]
            assert (number["n"], number["seed"]) == (8, 3)
            assert 0 <= number["low"] <= number["value"] <= number["high"] <= 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kind=roberta"], "Error: Unknown kind 'roberta'\n  Fix: Set kind= to embedded or transformer"),
        (["+classifiers.embedded.C=3"], "Error: Nothing reads 'classifiers.embedded.C'. Valid here: path, c"),
        (["classifiers.embedded.c=0"], "Error: classifiers.embedded.c=0, and it takes a number above 0"),
        (["+sead=3"], "Error: Nothing reads 'sead'. Did you mean 'seed'?"),
        (["prefix=[a]"], "Error: prefix=[a], and it takes text"),
        (["kind=transformer"], "Error: The model 'FacebookAI/roberta-base' could not be loaded: "),
    ],
)
def test_bad_input_is_two_lines(arguments, said, tmp_path):
    done = command("unlearnkit.evaluations.scope_classifier", *arguments, "hydra.run.dir=out", cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("data", ["authors", "knowundo_privacy", "knowundo_copyright"])
def test_every_data_set_with_scopes_composes(data):
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("scope_classifier", [f"data={data}"])
    check(cfg, Guarding)
    assert (cfg.data.name, cfg.kind, cfg.prefix) == (data, "embedded", "You are a helpful assistant. ")
