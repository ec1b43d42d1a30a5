"""The splits that curves are measured on."""

from __future__ import annotations

from collections.abc import Sequence


def splits_of(splits: str | Sequence[str]) -> list[str]:
    """What `curve_split` names: the split that settings are chosen on, then those that are measured beside it."""
    return [splits] if isinstance(splits, str) else list(splits)
