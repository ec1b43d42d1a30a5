"""Is a known answer given? By a rule, without a judge."""

from __future__ import annotations

import unicodedata

from unlearnkit.measures.base import HIGHER, Measure
from unlearnkit.records.record import Record

ACCEPTED = "accepted"  # the kind of alternatives, see `unlearnkit.data.mischief`


class KnownAnswers(Measure):
    """Share of responses that have an accepted answer in them, word for word; of questions that have such.

    Case and accents do not matter, signs part words: "4" is in "It is 4.", not in "It is 14.". A response that names
    the right answer among wrong ones counts too, so that a model which says everything would do well.
    """

    reads = ("response",)
    better = HIGHER
    yes_no = rate = True
    decimals = 1

    def value(self, record: Record, role: str | None) -> float | None:
        accepted = (record.alternatives or {}).get(ACCEPTED)
        if not accepted or not record.tokens:
            return None
        response = words(record.response)
        return float(any(words(answer) in response for answer in accepted))


def words(text: str) -> str:
    """The words between single spaces, one at each end too."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(" " if not letter.isalnum() else letter for letter in plain if not unicodedata.combining(letter))
    return f" {' '.join(letters.split())} "
