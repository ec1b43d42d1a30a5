"""unlearnkit: unlearn, measure, compare. See README.md."""

__version__ = "0.2.0"
