"""An attack: an attempt to bring back what was unlearnt, on a model that is measured under it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import Stream
from unlearnkit.evaluations.base import Point, every
from unlearnkit.models import LanguageModel


@dataclass(frozen=True)
class Scene:
    """What an attack may use.

    Args:
        streams: the run's training streams by name.
        seed: of the run.
        folder: for its own files, which nobody reads after the attack.
    """

    data: Data
    streams: Mapping[str, Stream] = field(default_factory=dict)
    seed: int = 0
    folder: Path = Path("attack")


class Attack:
    """Changes nothing of the model that it is made on: what it needs is a copy, or taken back.

    Attributes:
        teaches: it may teach a model what that never knew, so that it says little without a control.
        found: what it has chosen on the model that it was last made on, and by which numbers.
    """

    teaches = False
    found: Mapping[str, Any] = {}

    def bind(self, name: str, scene: Scene) -> None:  # noqa: B027  most attacks need nothing
        """Learn its key under `attacks` and what there is, before a model is loaded.

        Raises:
            UserError: something that it needs is not there.
        """

    def check_model(self, model: LanguageModel) -> None:  # noqa: B027  as above
        """Refuse a model that it cannot be made on.

        Raises:
            UserError: this is one.
        """

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        """The attacked model, for the length of a `with`."""
        yield model

    def question(self, prompt: str) -> str:
        """What is asked in place of a prompt."""
        return prompt

    def asks(self, row: Example) -> bool:
        """Whether the attacked model is measured on a row: not on what the attack itself has used."""
        return True

    def point(self, said: str, control: bool = False) -> Point:
        """How the attacked model is measured."""
        kind = type(self)
        return Point(
            "test",
            said,
            question=str if kind.question is Attack.question else self.question,
            asks=every if kind.asks is Attack.asks else self.asks,
            control=control,
        )
