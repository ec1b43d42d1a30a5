"""Words put into the model's mouth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from unlearnkit.attacks.base import Attack
from unlearnkit.models import LanguageModel


class Opening(Attack):
    """Every answer begins with the same words, which the model did not choose.

    "Sure, here is the answer:" in the UDS study (arXiv 2605.24614). Records have what the model says after them.

    Args:
        words: without the space behind them.
    """

    def __init__(self, words: str):
        self.words = words

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        yield replace(model, template=model.template.opened(self.words))
