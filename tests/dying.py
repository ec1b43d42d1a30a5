"""What a run dies of at a step or under an attack, by an exception or as `kill -9` would have it."""

import contextlib
import os
import signal
from pathlib import Path

from unlearnkit.attacks import Attack
from unlearnkit.runs.tracking import Nowhere


class Died(BaseException):
    """What the tests wait for."""


class Dies(Nowhere):
    """Dies when `step` of `stage` is logged, after the log's row and before the step's checkpoint; or at the end."""

    def __init__(self, stage: str, step: int, kill: bool = False):
        self.stage, self.step, self.kill = stage, step, kill

    def log(self, row):
        if (row["stage"], row.get("step")) == (self.stage, self.step) and "loss" in row:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Died

    def finish(self, metrics, answers):
        if self.stage == "end":
            raise Died


class Kills(Attack):
    """Kills its process as it is made for the second time: on the unlearned model, after the start.

    The file that `TIMES` names in the environment has a letter for each time.
    """

    @contextlib.contextmanager
    def on(self, model):
        times = Path(os.environ["TIMES"])
        before = times.read_text() if times.exists() else ""
        times.write_text(before + "x")
        if before == "x":
            os.kill(os.getpid(), signal.SIGKILL)
        yield model
