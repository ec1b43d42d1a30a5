"""BLEURT as a plain sequence classifier, on tiny BERT models."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from unlearnkit.errors import UserError
from unlearnkit.measures.bleurt import Bleurt

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "ran"]


def save(folder, outputs):
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(
        vocab_size=len(WORDS), max_position_embeddings=32, num_labels=outputs, initializer_range=1.0, **sizes
    )
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    return model.eval()


def test_the_logit_of_the_pair_is_the_score(tmp_path):
    model = save(tmp_path, 1)
    scorer = Bleurt(str(tmp_path), batch_size=2, max_length=24, device="cpu")
    references = ["the cat sat", "the dog", "the cat sat"]
    candidates = ["the dog ran", "the cat sat", "the cat sat"]
    scores = scorer.score(references, candidates)
    # [CLS] the cat sat [SEP] the dog ran [SEP]
    pair = torch.tensor([[2, 5, 6, 8, 3, 5, 7, 9, 3]])
    kinds = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1, 1]])
    with torch.inference_mode():
        expected = model(pair, token_type_ids=kinds).logits.item()
    assert scores[0] == pytest.approx(expected, abs=1e-5)
    assert len(set(scores)) == 3
    assert scorer.name == "bleurt"


def test_long_pairs_are_cut(tmp_path):
    save(tmp_path, 1)
    scorer = Bleurt(str(tmp_path), max_length=24, device="cpu")
    assert len(scorer.score(["the cat " * 50], ["the dog " * 50])) == 1
    assert scorer.score([], []) == []


def test_more_than_one_output_is_refused(tmp_path):
    save(tmp_path, 2)
    with pytest.raises(UserError) as caught:
        Bleurt(str(tmp_path))
    assert caught.value.what == f"'{tmp_path}' has a head with 2 outputs; a BLEURT checkpoint has 1."


def test_missing_weights(tmp_path):
    with pytest.raises(UserError) as caught:
        Bleurt(str(tmp_path / "absent"))
    assert caught.value.what.endswith("could not be loaded: there is no such folder") and "hub id" in caught.value.fix


def test_unequal_lists(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(ValueError, match="1 references, but 2 candidates"):
        Bleurt(str(tmp_path)).score(["a"], ["a", "b"])
