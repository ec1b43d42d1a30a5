"""What every loss is told."""

import pytest

from unlearnkit.losses import KL, NLL, Loss


def test_a_term_is_a_stream_and_a_weight():
    assert (NLL("forget").stream, NLL("forget").weight, NLL("forget", "-2").weight) == ("forget", 1.0, -2.0)


def test_only_a_comparison_needs_the_reference():
    assert KL("retain").needs_reference and not NLL("retain").needs_reference


def test_a_loss_without_a_formula_is_none():
    with pytest.raises(TypeError, match="abstract"):
        Loss("forget")
