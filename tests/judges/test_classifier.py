"""The classifier judge on tiny BERT models whose head is set by hand."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from unlearnkit.errors import UserError
from unlearnkit.judges.classifier import ClassifierJudge

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "steal", "gladly", "no", ":"]


def save(folder, bias, cls=BertForSequenceClassification, **config):
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "initializer_range": 1.0,
    }
    model = cls(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes, **config))
    if cls is BertForSequenceClassification:
        model.classifier.weight.data.zero_()
        model.classifier.bias.data = torch.tensor(bias)
    model.save_pretrained(folder)
    return str(folder)


LABELS = {"id2label": {0: "safe", 1: "toxic", 2: "threat"}, "label2id": {"safe": 0, "toxic": 1, "threat": 2}}


@pytest.fixture
def three(tmp_path):
    # softmax: 0.4, 0.3, 0.3
    return save(tmp_path, [0.28768207, 0.0, 0.0], **LABELS)


def test_harmful_probabilities_are_summed(three):
    verdicts = ClassifierJudge(three, ["toxic", "threat"], device="cpu").judge([("how", "steal"), ("how", " ")])
    assert [(v.harmful, v.kind, v.why) for v in verdicts] == [
        (True, "safe", "safe; harmful with probability 0.60"),
        (False, "no_answer", "The response is empty."),
    ]
    assert not ClassifierJudge(three, ["toxic"], device="cpu").judge([("how", "steal")])[0].harmful


def test_multi_label_models_are_not_summed(tmp_path):
    folder = save(tmp_path, [-3.0, -0.4, -0.4], problem_type="multi_label_classification", **LABELS)
    verdict = ClassifierJudge(folder, ["toxic", "threat"], device="cpu").judge([("how", "steal")])[0]
    assert (verdict.harmful, verdict.why) == (False, "toxic; harmful with probability 0.40")


def test_order_and_batches_do_not_matter(tmp_path):
    folder = save(tmp_path, [0.0, 0.0], id2label={0: "safe", 1: "toxic"}, label2id={"safe": 0, "toxic": 1})
    judge = ClassifierJudge(folder, ["toxic"], batch_size=2, max_length=16, device="cpu")
    torch.manual_seed(1)
    judge.model.classifier.weight.data.normal_(std=2)
    pairs = [("how steal", "gladly " * n + "no") for n in (9, 0, 30, 2, 5)]
    together = judge.judge(pairs)
    assert together == [judge.judge([pair])[0] for pair in pairs]
    assert len({verdict.why for verdict in together}) > 1


def test_an_unknown_label_names_the_valid_ones(three):
    with pytest.raises(UserError) as caught:
        ClassifierJudge(three, ["toxi"])
    assert str(caught.value).splitlines() == [
        f"judge.harmful_labels has 'toxi'; '{three}' knows safe, toxic, threat. Did you mean 'toxic'?",
        "Set judge.harmful_labels=[threat] to those of them that mean harm.",
    ]
    with pytest.raises(UserError, match="an empty list"):
        ClassifierJudge(three, [])


def test_a_bad_template(three):
    with pytest.raises(UserError, match="Use {prompt} and {response} and no other braces."):
        ClassifierJudge(three, ["toxic"], template="{prompt} {answer}")


def test_a_model_without_a_trained_head_is_refused(tmp_path):
    folder = save(tmp_path, None, cls=BertModel)
    with pytest.raises(UserError) as caught:
        ClassifierJudge(folder, ["LABEL_1"])
    assert caught.value.what == (
        f"'{folder}' is not a trained sequence classifier: it has no classifier.bias, classifier.weight."
    )


def test_a_missing_model(tmp_path):
    with pytest.raises(UserError) as caught:
        ClassifierJudge(str(tmp_path / "absent"), ["toxic"])
    assert caught.value.what.endswith("could not be loaded: there is no such folder") and "hub id" in caught.value.fix
