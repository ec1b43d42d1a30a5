"""A fact is known if argmax hits all of its attribute."""

import math

from unlearnkit.measures.known_rate import forgotten_rate, known_rate

from unlearnkit.records.record import Record

RECORDS = [
    Record("edited", str(n), "p", answer_hits=hits)
    for n, hits in enumerate([[True, True], [True, False], [False], [True], []])
]


def test_rates():
    known, forgotten = known_rate(RECORDS), forgotten_rate(RECORDS)
    assert (known.value, known.n, forgotten.value, forgotten.n) == (0.5, 4, 0.5, 4)
    assert known.low < 0.5 < known.high
    assert known_rate(RECORDS[:2] + RECORDS[3:4]).value == 2 / 3
    assert math.isnan(known_rate([]).value) and known_rate([]).n == 0
