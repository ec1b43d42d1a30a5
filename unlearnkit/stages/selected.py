"""The weights of the step that a training's selection has chosen so far."""

from __future__ import annotations

import shutil
from pathlib import Path

from unlearnkit import ranks
from unlearnkit.models import LanguageModel, checkpoints
from unlearnkit.notices import notice
from unlearnkit.stages.base import Context
from unlearnkit.stages.selection import Choice, Selection

BEST = "best-"


class Selected:
    """Below `checkpoints/STAGE` of the run folder: `best-N` after N steps.

    Every rank chooses from the same numbers. A kill loses nothing: the choice is read from the points that the run has
    written, and an earlier best is removed only after the next checkpoint of the training.
    """

    def __init__(self, selection: Selection, model: LanguageModel, context: Context):
        self.selection, self.model, self.context = selection, model, context
        self.folder = context.folder / "checkpoints" / context.stage

    def chosen(self) -> Choice:
        """Of the steps measured so far."""
        points = self.context.points(self.context.stage)
        return self.selection.choose({step: numbers for step, numbers in points.items() if step}, points[0])

    def consider(self, step: int, saving: bool) -> None:
        """Keep the weights of the step that has just been measured, if it is the best so far.

        Args:
            saving: the training writes checkpoints, after which `prune` is called.
        """
        choice = self.chosen()
        if choice.step == step:
            if ranks.is_first():
                shutil.rmtree(self._at(step), ignore_errors=True)
                checkpoints.save_trained(self.model.model, self._at(step))
                checkpoints.mark(self._at(step), {"step": step})
            ranks.barrier()
        self.context.chosen(self.context.stage, choice)
        if not saving:
            self.prune()

    def prune(self) -> None:
        """Remove what is not chosen any more; before the first measured step nothing is."""
        if ranks.is_first() and any(self.context.points(self.context.stage)):
            chosen = self._at(self.chosen().step)
            for path in self.folder.glob(f"{BEST}*"):
                if path != chosen:
                    shutil.rmtree(path, ignore_errors=True)

    def take(self) -> None:
        """Put the chosen step's weights into the model."""
        choice = self.chosen()
        assert ranks.from_first(lambda: checkpoints.state_of(self._at(choice.step))), "the chosen step was not kept"
        checkpoints.load_trained(self.model.model, self._at(choice.step))
        self.context.chosen(self.context.stage, choice)
        notice(f"Going on from step {choice.step} of the stage '{self.context.stage}': {choice.reason}")

    def _at(self, step: int) -> Path:
        return self.folder / f"{BEST}{step}"
