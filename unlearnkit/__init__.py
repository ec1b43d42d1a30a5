"""unlearnkit: unlearn, measure, compare. See README.md."""

import sys
from typing import Any

__version__ = "0.2.0"
__all__ = ["Run", "__version__", "unlearn"]

if sys.argv[:1] == ["-m"]:  # a command of this package is about to import libraries, which takes seconds
    from unlearnkit.errors import interruptible

    interruptible()


def __getattr__(name: str) -> Any:
    """The names for Python, imported when they are asked for: `import unlearnkit` takes no second."""
    if name in ("Run", "unlearn"):
        from unlearnkit import api

        return getattr(api, name)
    raise AttributeError(f"module 'unlearnkit' has no attribute '{name}'")
