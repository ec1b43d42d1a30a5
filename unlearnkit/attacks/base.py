"""An attack: an attempt to bring back what was unlearnt, on a model that is measured under it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from unlearnkit.models import LanguageModel


class Attack:
    """Changes nothing of the model that it is made on: what it needs is a copy, or taken back."""

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        """The attacked model, for the length of a `with`."""
        yield model

    def question(self, prompt: str) -> str:
        """What is asked in place of a prompt."""
        return prompt
