"""The kinds classifier on points whose kind is plain to see."""

import numpy as np
import pytest

from unlearnkit.judges.base import KINDS
from unlearnkit.judges.kinds import Kinds


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(0)
    corners = np.eye(len(KINDS)) * 4
    kinds = np.repeat(np.array(list(KINDS)), 12)
    points = np.repeat(corners, 12, axis=0) + random.normal(size=(len(kinds), len(KINDS))) * 0.3
    # The second block says the same on a scale a thousand times larger.
    return Kinds().fit([points, points * 1000], kinds), corners


def test_corners_are_their_own_kind(fitted):
    classifier, corners = fitted
    found = classifier.probabilities([corners, corners * 1000])
    assert [list(KINDS)[index] for index in found.argmax(axis=1)] == list(KINDS)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found > 0).all()
