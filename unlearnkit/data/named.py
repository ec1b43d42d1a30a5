"""Questions about people or things by name, for a stage that edits facts about subjects."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from unlearnkit.data.streams import Shuffled, Stream, plain

CAPITALS = re.compile(r"[A-Z][\w-]*(?: [A-Z][\w-]*)+")


class Named:
    """The rows of `source` whose prompt has a name, each with that as its subject.

    A name is two capitalised words or more in a row. Of several in a prompt it is the one that most prompts of the
    stream have, the longest of these.
    """

    def __init__(self, source: str = "forget"):
        self.source = source

    def bind(self, streams: dict[str, Stream]) -> Shuffled:
        """Look up the named stream."""
        rows = plain(streams, self.source, "source").examples
        counts = Counter(name for row in rows for name in names(row.prompt))
        pairs = [(row, max(names(row.prompt), key=lambda n: (counts[n], len(n)), default=None)) for row in rows]
        return Shuffled(self.source, [replace(row, subject=name) for row, name in pairs if name])


def names(text: str) -> list[str]:
    """Every run of capitalised words, and every part of one that has two words or more."""
    candidates = []
    for run in CAPITALS.findall(text):
        words = run.split(" ")
        candidates += [" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 2, len(words) + 1)]
    return list(dict.fromkeys(candidates))
