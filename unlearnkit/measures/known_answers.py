"""Is a known answer given? By a rule, without a judge."""

from __future__ import annotations

import unicodedata
from itertools import groupby

from unlearnkit.measures.base import HIGHER, Measure
from unlearnkit.measures.scripts import split
from unlearnkit.records.record import Record

ACCENTS = frozenset(map(chr, range(0x0300, 0x0370)))  # of Latin, Greek and Cyrillic letters
ACCEPTED = "accepted"  # the kind of alternatives, see `unlearnkit.data.mischief`


class KnownAnswers(Measure):
    """Share of responses that have an accepted answer in them, word for word; of questions that have such.

    Case and accents do not matter, signs part words: "4" is in "It is 4.", not in "It is 14.". In a script without
    spaces each letter is a word. A response that names the right answer among wrong ones counts too, so that a model
    which says everything would do well.
    """

    reads = ("response",)
    better = HIGHER
    yes_no = rate = True
    decimals = 1

    def value(self, record: Record, role: str | None) -> float | None:
        accepted = (record.alternatives or {}).get(ACCEPTED)
        if not accepted or not record.tokens:
            return None
        return float(any(contains(record.response, answer) for answer in accepted))


def contains(response: str, answer: str) -> bool:
    """Whether the answer's words stand in the response side by side; of signs alone, the signs."""
    own = words(answer)
    return own in words(response) if own.strip() else bool(answer.strip()) and answer.strip() in response


def words(text: str) -> str:
    """The words between single spaces, one at each end too.

    Accents go; marks that are vowels, as in Hindi and Thai, or make another letter, as in Japanese, stay.
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = unicodedata.normalize("NFC", "".join(letter for letter in plain if letter not in ACCENTS))
    runs = groupby(letters, key=lambda letter: unicodedata.category(letter)[0] in "LMN")
    return f" {' '.join(word for written, run in runs if written for word in split(''.join(run)))} "
