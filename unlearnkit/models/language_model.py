"""A model, how it is asked, and what it computes in."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from unlearnkit import sums
from unlearnkit.models.generation import end_tokens
from unlearnkit.models.lineage import Lineage, answering
from unlearnkit.models.precision import computing
from unlearnkit.models.saving import make_portable
from unlearnkit.models.templates import Template


@dataclass
class LanguageModel:
    """A causal language model with its tokenizer.

    Whoever wants to call it takes a network from `current`, `start` or `loaded`: these say which weights it has,
    switch dropout off and set what it computes in. A training calls `model` itself, inside `computing`.

    Args:
        name: in tables.
        template: how a question is put to it.
        weights: what they are, what they were, and how they are trained.
        dtype: what its forwards compute in, see `unlearnkit.models.precision`.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase
    template: Template
    weights: Lineage
    dtype: torch.dtype = torch.float32

    @property
    def model(self) -> Any:
        """The network as it is now: a PreTrainedModel or PeftModel."""
        return self.weights.network

    @property
    def source(self) -> str:
        """The folder or hub id that the weights came from."""
        return self.weights.source

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def max_length(self) -> int:
        """Tokens of context.

        Where rope changes for all tokens of a row as soon as one is beyond the original context, that is the limit.
        """
        config = self.model.config.get_text_config()
        rope = getattr(config, "rope_parameters", None) or {}
        most: int = config.max_position_embeddings
        if rope.get("rope_type") == "longrope":
            return min(most, rope.get("original_max_position_embeddings") or most)
        return most

    @property
    def ends(self) -> list[int]:
        """The tokens that end an answer: the one that its training ends with, the tokenizer's, the model's own."""
        closing = self.template.end(self.tokenizer)
        return sorted({closing, self.tokenizer.eos_token_id} | end_tokens(self.model))

    def computing(self) -> contextlib.AbstractContextManager[None]:
        """What every forward of this model computes in, for the length of a `with`."""
        return computing(self.device, self.dtype)

    @contextlib.contextmanager
    def current(self) -> Iterator[Any]:
        """The network as it is now."""
        with answering(self.model), self.computing():
            yield self.model

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        """The network as the run's stages found it."""
        with self.weights.start() as network, answering(network), self.computing():
            yield network

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Any]:
        """The network as it came, before it was taught anything."""
        with self.weights.loaded() as network, answering(network), self.computing():
            yield network

    def state(self, name: str) -> contextlib.AbstractContextManager[Any]:
        """The network of "loaded", "start" or "current"."""
        return {"loaded": self.loaded, "start": self.start, "current": self.current}[name]()

    def save(self, folder: Path) -> None:
        """Adapter or safetensors, with the tokenizer, written to a temporary name and renamed."""
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        self.weights.save(partial)
        self.tokenizer.save_pretrained(partial)
        make_portable(partial, self.source, self.weights.use_cache)
        sums.seal(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        sums.note(folder / sums.SUMS)  # so that a run knows its own model from another run's
