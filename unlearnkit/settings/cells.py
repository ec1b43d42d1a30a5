"""Words of a command line that are a sweep's cells', written so that Hydra leaves them out of the sweep's own config.

Hydra composes a multirun's command line before it looks at the grid, so a word could not set what only the cells have:
the target of their data, the stages of their methods. Axes it leaves out, so such a word is made to look like one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

OF_SWEEP = ("sweep", "scale", "hydra")  # what the sweep itself reads; all else is its cells'
BEGIN, END = "=tag(cell,choice([", "]))"


def set_aside(words: Sequence[str]) -> list[str]:
    """The words with each that gives one value to its key written as an axis; see `given`.

    What cannot be one stays as it is: `~KEY`, and what Hydra's grammar does not take.
    """
    return [_aside(word) for word in words]


def given(words: Sequence[str]) -> list[str]:
    """The words as the user wrote them."""
    return [_given(word) for word in words]


def _given(word: str) -> str:
    key, aside, value = word.removesuffix(END).partition(BEGIN)
    if not aside or not word.endswith(END):
        return word
    return f"{key}={value}" if value or not key.startswith("~") else key


def _aside(word: str) -> str:
    key, _, value = word.partition("=")
    if re.split(r"[./@]", key.lstrip("+~"))[0] in OF_SWEEP:
        return word
    parser, aside = OverridesParser.create(), f"{key}{BEGIN}{value}{END}"
    try:
        return aside if not parser.parse_override(word).is_sweep_override() and parser.parse_override(aside) else word
    except HydraException:
        return word
