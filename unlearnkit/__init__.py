"""unlearnkit: unlearn, measure, compare. See README.md."""

import os
import sys
from typing import Any

__version__ = "0.2.0"
__all__ = ["Run", "__version__", "unlearn"]

# A thread of torch that waits for the others spins some milliseconds, by GNU OpenMP's default, before it gives its core
# to the thread that it waits for: beside one other process on two cores a product of 64 rows ran at 3 GFLOP/s for 56.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = "1000"

if sys.argv[:1] == ["-m"]:  # a command of this package is about to import libraries, which takes seconds
    from unlearnkit.errors import interruptible

    interruptible()


def __getattr__(name: str) -> Any:
    """The names for Python, imported when they are asked for: `import unlearnkit` takes no second."""
    if name in ("Run", "unlearn"):
        from unlearnkit import api

        return getattr(api, name)
    raise AttributeError(f"module 'unlearnkit' has no attribute '{name}'")
