"""Which rows of one file stand in another too: by their words, or nearly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from unlearnkit.data.columns import Read

NEAR = 0.8  # cosine of the texts' TF-IDF over words and pairs of words
AT_ONCE = 1000  # rows compared in one product


def normalised(text: str) -> str:
    """What is the same for two texts that differ by case, signs, spaces and how Unicode writes their letters.

    A letter in one code or in several, full width, a ligature, and signs that are not seen, are one. Marks stay:
    the vowels of Hindi and Thai are such.
    """
    if not text.isascii():
        composed = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        kinds = ((letter, unicodedata.category(letter)) for letter in composed)
        text = "".join(
            letter if kind[0] in "LMN" or letter == "_" else "" if kind == "Cf" else " " for letter, kind in kinds
        )
        return " ".join(text.split()) or composed
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def near(texts: Sequence[str], others: Sequence[str], least: float = NEAR) -> list[tuple[int, int]]:
    """For each text that is nearly one of the others, its place and the nearest one's; all as `normalised` has them."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not texts or not others:
        return []
    vectors = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
    try:
        known = vectors.fit([*texts, *others]).transform(others)
    except ValueError:  # no text has a word
        return []
    pairs = []
    for start in range(0, len(texts), AT_ONCE):
        likeness = vectors.transform(texts[start : start + AT_ONCE]) @ known.T
        best, nearest = likeness.max(axis=1).toarray().ravel(), np.asarray(likeness.argmax(axis=1)).ravel()
        pairs += [(start + row, int(nearest[row])) for row in range(len(best)) if best[row] >= least]
    return pairs


def overlaps(read: Mapping[str, Sequence[Read]]) -> Iterable[str]:
    """A line for each two files that share rows, by prompt or plain text; another for rows that are nearly shared."""
    for one, other in combinations(read, 2):
        keys = [normalised(row.prompt or row.response) for row in read[one]]
        theirs = [normalised(row.prompt or row.response) for row in read[other]]
        known = set(theirs)
        if shared := [row for row, key in zip(read[one], keys, strict=True) if key in known]:
            yield (
                f"Overlap: {len(shared)} of {len(read[one])} rows of {one} are in {other} too, by their prompt or text"
                f" ({shared[0].place})"
            )
        rest = [(row, key) for row, key in zip(read[one], keys, strict=True) if key not in known]
        if alike := near([key for _, key in rest], theirs):
            place, nearest = alike[0]
            yield (
                f"Near-duplicates: {len(alike)} of {len(read[one])} rows of {one} are nearly in {other}"
                f" ({rest[place][0].place} and {read[other][nearest].place})"
            )
