"""An attack: an attempt to bring back what was unlearnt, on a model that is measured under it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations.base import Evaluations, Part, Point, Records, every
from unlearnkit.identity import INPUTS, NO_MATTER, flat
from unlearnkit.inputs import ROWS, code
from unlearnkit.measures.base import Measure
from unlearnkit.models import LanguageModel
from unlearnkit.models.configs import Configs
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.quantised import check_exact, exact
from unlearnkit.records.cache import cached_parts
from unlearnkit.records.generate import Drawn

OURS = "unlearnkit."  # what begins so is of this package, whose code the cache's key has
Of = Literal["unlearned", "start", "never_knew"]  # which model is attacked


@dataclass(frozen=True)
class Scene:
    """What an attack may use.

    Args:
        seed: of the run.
        folder: for its own files, which nobody reads after the attack.
        questions: the rows of the forget side that the run's evaluations ask.
        models: that attacks are made on, as far as their files are at hand.
        config: of the run, with its inputs; None: nobody knows what decides the records, and none are kept.
    """

    data: Data
    seed: int = 0
    folder: Path = Path("attack")
    questions: Sequence[Example] = ()
    models: Configs = field(default_factory=dict)
    config: Mapping[str, Any] | None = None


class Attack:
    """Changes nothing of the model that it is made on: what it needs is a copy, or taken back.

    Attributes:
        details: what it has chosen on the model that it was last made on, and by which numbers.
        needs_control: its numbers say nothing without a model that never knew.
        repeats: on the same model it gives the same records, and leaves nothing else for a later one.
    """

    details: Mapping[str, Any] = {}
    needs_control = False
    repeats = True

    def bind(self, name: str, scene: Scene) -> None:
        """Learn its key under `attacks` and what there is, before a model is loaded.

        Raises:
            UserError: something that it needs is not there.
        """
        self.name, self.scene = name, scene

    def check_model(self, model: LanguageModel) -> None:
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

    def answers(self, of: Of) -> Drawn | None:
        """What gives the responses on the forget side; None: the evaluation's own decoding."""
        return None

    def brings(self, part: Part) -> Mapping[str, Measure]:
        """Measures of its own, which are taken on the forget side of an evaluation at every moment."""
        return {}

    def point(self, phrase: str, of: Of = "unlearned") -> Point:
        """How the attacked model is measured."""
        kind = type(self)
        return Point(
            "test",
            phrase,
            question=str if kind.question is Attack.question else self.question,
            asks=every if kind.asks is Attack.asks else self.asks,
            answers=self.answers(of),
            control=of == "never_knew",
            shared=of != "unlearned" and kind.on is Attack.on,  # what is done to a model no fingerprint of files says
        )

    def measured_by(self, evaluations: Evaluations) -> Evaluations:
        """What the attacked model is measured by: the run's evaluations, but of an attack that brings its own."""
        return evaluations

    def measure(
        self,
        model: LanguageModel,
        evaluations: Evaluations,
        phrase: str,
        start: Records | None = None,
        of: Of = "unlearned",
    ) -> Records:
        """The records of a model under the attack.

        Those of the start and of a control are kept: every method of a sweep is compared with the same ones.

        Args:
            phrase: the moment, for errors.
            start: the records of the start model.
        """
        own = self.measured_by(evaluations)
        compared = start if own is evaluations else None
        decided_by = self._decided_by(own) if self._keeps(of) else None
        if decided_by is None:
            return self._measure(model, own, phrase, compared, of)
        content = {"model": fingerprint(model), "of": of, **decided_by}
        parts = cached_parts(content, lambda: self._measure(model, own, phrase, compared, of))
        return {name: parts[name] for name in own.parts}

    def _measure(self, model: LanguageModel, own: Evaluations, phrase: str, start: Records | None, of: Of) -> Records:
        """The same, made now; `own` as `measured_by` gives them."""
        with self.on(model) as attacked:
            return own.measure(attacked, self.point(phrase, of), start)

    def _keeps(self, of: Of) -> bool:
        """Whether all records are kept as one; where only the question is another, an evaluation keeps its own."""
        kind = type(self)
        asks_alone = kind.on is Attack.on and kind.measured_by is Attack.measured_by
        return of != "unlearned" and self.repeats and not asks_alone

    def _decided_by(self, own: Evaluations) -> dict[str, Any] | None:
        """What decides them beside the model; None where the config is not known, or names code that is not ours."""
        config = self.scene.config
        if config is None:
            return None
        parts = {part: config[part] for part in ("eval", "target")}
        settings = flat({**parts, "attacks": {self.name: config["attacks"][self.name]}})
        if not all(str(value).startswith(OURS) for key, value in settings.items() if key.endswith("_target_")):
            return None
        read = ("eval.", "target.", f"attacks.{self.name}.")
        return {
            "seed": self.scene.seed,
            "config": {key: value for key, value in settings.items() if not NO_MATTER.search(key)},
            "inputs": {key: held for key, held in config[INPUTS].items() if key == ROWS or key.startswith(read)},
            "measures": list(own.columns()),  # those that other attacks bring with them
            "code": code(),
        }


class OfWeights(Attack):
    """An attack on the weights, which have to be numbers that can be read and changed.

    Attributes:
        does: to the model, for an error.
        beside: it changes what lies beside the model's weights alone, so that these may be quantised.
    """

    does = "changed"
    beside = False

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        for model_name, config in scene.models.items():
            if config.get("quantization_config") and not self.beside:
                raise exact(model_name, f"{self.does} by the attack '{name}'")

    def check_model(self, model: LanguageModel) -> None:
        if not self.beside:
            check_exact(model.model, f"{self.does} by the attack '{self.name}'")
