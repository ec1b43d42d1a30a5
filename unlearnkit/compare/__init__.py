"""Runs side by side: what their configs say differently, what they measured, and the answers that changed."""

from unlearnkit.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
