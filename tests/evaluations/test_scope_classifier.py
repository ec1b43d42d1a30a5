"""The guard of finding 3: what it is trained on, what it is measured on, and both kinds for real."""

import json
from dataclasses import replace

import pytest
import torch
from composed import composed
from hydra.utils import instantiate
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from unlearnkit.data import authors
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.evaluations.scope_classifier import EmbeddedClassifier, TransformerClassifier, training
from unlearnkit.measures import Guarded, Success
from unlearnkit.models import tiny

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


def called(classifier, data, split="test"):
    """What a classifier trained on the data's streams calls each scope's questions."""
    classifier.fit(*training(data))
    return {scope: classifier.predict([row.prompt for row in data.sets[scope][split]]) for scope in data.sets}


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


def test_a_guard_is_trained_on_the_plain_training_questions_alone(data, lora_model, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    classifier = Keyword()
    own = Evaluation({"guarded": Guarded()}, {"unlearn": ["guarded"], "retention": ["guarded"]}, classifier=classifier)
    evaluations = Evaluations({"guard": own}, data, 0)
    numbers = evaluations.compute(evaluations.measure(lora_model, Point("test")))["guard"]
    assert numbers["unlearn"]["guarded"]["value"] == pytest.approx(2 / 6)
    assert (numbers["retention"]["guarded"]["value"], numbers["retention"]["guarded"]["n"]) == (1.0, 4)
    private = {row.prompt: 1 for row in data.streams["forget"]}
    assert classifier.seen == private | {row.prompt: 0 for row in data.streams["retain"]}


def test_the_embedded_kind_tells_the_authors_scopes_apart():
    found = called(EmbeddedClassifier(), authors.load(authors=8))
    right = {"unlearn": found["unlearn"].count(1), "retention": found["retention"].count(0)}
    assert all(right[scope] >= 0.9 * len(found[scope]) for scope in ("unlearn", "retention"))


def test_the_embedded_kind_gives_the_same_every_time(data):
    assert called(EmbeddedClassifier(), data) == called(EmbeddedClassifier(), data)


def test_a_transformer_learns_the_scopes(roberta, data):
    rows = [*data.sets["unlearn"]["test"], *data.sets["retention"]["test"]]
    classifier = transformer(roberta)
    assert classifier.model.config.num_labels == 2
    assert called(classifier, data) == {"unlearn": [1] * 6, "retention": [0] * 4}
    with torch.inference_mode():  # one at a time, not padded
        alone = [
            int(classifier.model(**classifier.tokenizer(row.prompt, return_tensors="pt")).logits.argmax())
            for row in rows
        ]
    assert classifier.predict([row.prompt for row in rows]) == alone == [1] * 6 + [0] * 4


def test_a_seed_gives_the_same_transformer_every_time(roberta, data):
    def weights(seed):
        classifier = transformer(roberta, seed=seed, epochs=1)
        called(classifier, data)
        return torch.cat([parameter.flatten() for parameter in classifier.model.parameters()])

    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_no_weights(tmp_path):
    with pytest.raises(UserError) as error:
        transformer(tmp_path / "none")
    assert error.value.what.startswith(f"The model '{tmp_path / 'none'}' could not be loaded: ")
    assert error.value.fix.endswith(f"fetch it once: hf download {tmp_path / 'none'}")
