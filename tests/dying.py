"""A tracker under which a run dies at a step, by an exception or as `kill -9` would have it."""

import os
import signal

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
