"""A stage takes a model and returns a model."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.settings.bounds import Depth
from unlearnkit.stages.selection import Choice, Numbers


@dataclass
class Context:
    """What a run hands to its stages.

    Args:
        streams: training streams by name.
        seed: of the run.
        folder: the run folder; a stage keeps its own files below it.
        stage: the name of the stage that is running.
        measure: called with (model, step) every `measure_every` training steps, dropout on; see `run.py`.
        points: stage -> step -> what was measured of it, step 0 the start.
        chosen: called with (stage, choice) as steps are chosen (`unlearnkit.stages.selection`).
        log: called with one flat mapping a logged step.
        rewind: called with (stage, step) when a training begins or goes on: what was written of later steps is void.
        cost: stage -> what it took: seconds_a_step and peak_memory_gb, each as {value, low, high, n, seed}.
    """

    streams: dict[str, Stream]
    seed: int
    folder: Path
    stage: str = ""
    measure: Callable[[LanguageModel, int], None] | None = None
    measure_every: int = 0
    points: Callable[[str], Mapping[int, Numbers]] = field(default=lambda stage: {})
    chosen: Callable[[str, Choice], None] = field(default=lambda stage, choice: None)
    log: Callable[[dict[str, Any]], None] = field(default=lambda row: None)
    rewind: Callable[[str, int], None] = field(default=lambda stage, step: None)
    cost: dict[str, dict[str, Any]] = field(default_factory=dict)


class Stage(ABC):
    """One step of a method."""

    measured = False  # the run measures the model after this stage, though others follow
    needs_fresh = False  # it begins an adapter, so what was taught is merged into the base first
    needs_start = False  # the run keeps on the disk what this stage needs of the weights that the stages found

    @abstractmethod
    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        """Do the stage's work; the model may be changed in place."""

    def check(self, key: str) -> None:  # noqa: B027  most stages have nothing more to refuse
        """Refuse settings that can be known to be wrong without a model; `key` is where they stand in the config."""

    def check_model(self, model: LanguageModel) -> None:  # noqa: B027  as above
        """Refuse settings that only the model shows to be wrong, before anything is computed with it."""

    def check_rows(self, model: LanguageModel, streams: dict[str, Stream], seed: int) -> None:  # noqa: B027  as above
        """Refuse rows that the stage could not train on, before anything is measured."""

    def beside(self, label: str, taught: bool) -> UserError | None:
        """Why it cannot be done beside quantised weights, which stay as they are; None: it can.

        Args:
            label: what the model is called.
            taught: the stages go on with the adapter that the model was taught with.
        """
        return None

    def depths(self) -> list[Depth]:
        """Layers of the model that its settings name, by number or share of the depth."""
        return []

    def stream_names(self) -> dict[str, str]:
        """Streams this stage reads, by the config key that names them."""
        return {}

    def steps(self, streams: dict[str, Stream]) -> int:
        """Training steps that the stage takes."""
        return 0

    @contextlib.contextmanager
    def preview(self, model: LanguageModel, context: Context) -> Iterator[LanguageModel]:
        """The model as it would be after this stage, for the length of a `with` (curves over training steps).

        A stage that trains cannot be previewed and leaves the model as it is.
        """
        yield model


@contextlib.contextmanager
def previewed(model: LanguageModel, stages: list[tuple[str, Stage]], context: Context) -> Iterator[LanguageModel]:
    """The model as it would be after the stages that follow `context.stage`."""
    names = [name for name, _ in stages]
    with contextlib.ExitStack() as previews:
        for _, stage in stages[names.index(context.stage) + 1 :]:
            model = previews.enter_context(stage.preview(model, context))
        yield model
