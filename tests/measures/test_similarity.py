"""The encoder's similarity on known pairs, and the metric over records."""

import math

import pytest

from unlearnkit.measures.similarity import EncoderSimilarity, Similarity
from unlearnkit.records.record import Record


def test_cosines():
    scorer = EncoderSimilarity()
    lovely = "The weather is lovely today."
    scores = scorer.score([lovely, lovely, lovely], [lovely, "It's so sunny outside!", "He drove to the stadium."])
    # sbert.net, "Quickstart", for all-MiniLM-L6-v2
    assert scores == pytest.approx([1.0, 0.6660, 0.1046], abs=1e-4)
    assert scorer.name == "similarity"
    assert scorer.score([], []) == []


def test_unequal_lists():
    with pytest.raises(ValueError, match="2 references, but 1 candidates"):
        EncoderSimilarity().score(["a", "b"], ["a"])


def test_records_without_a_score_are_skipped():
    records = [Record("normal", str(n), "p", similarity=value) for n, value in enumerate((0.5, None, 0.7))]
    found = Similarity()(records)
    assert (found.value, found.n) == (pytest.approx(0.6), 2)
    assert -1 <= found.low < 0.5 and 0.7 < found.high <= 1  # two values say little of a cosine
    half = 12.706204736432095 * 0.1  # t(0.975, 1) * s / sqrt(2)
    unbounded = Similarity(bounds=None)(records)
    assert (unbounded.low, unbounded.high) == pytest.approx((0.6 - half, 0.6 + half))
    assert Similarity()(records[:1]).value == 0.5 and Similarity()(records[:1]).n == 1
    nothing = Similarity()(records[1:2])
    assert nothing.n == 0 and math.isnan(nothing.value)
