"""unlearnkit from Python, as in a notebook: `unlearn(...)` is a run, `Run(folder)` one that is there already."""

from unlearnkit.api.call import unlearn
from unlearnkit.api.run import Run

__all__ = ["Run", "unlearn"]
