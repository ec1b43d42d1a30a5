"""Numbers out of the config."""

import pytest

from unlearnkit.build.checks import check_number
from unlearnkit.errors import UserError


def test_good_numbers():
    check_number("a", 3, 1, 5)
    check_number("a", 0.5, 0, 1, whole=False)
    check_number("a", None, 0, 1, optional=True)


@pytest.mark.parametrize("value", [0, 6, 1.5, "3", True, None])
def test_bad_numbers(value):
    with pytest.raises(UserError) as caught:
        check_number("attempts", value, 1, 5)
    assert str(caught.value).splitlines() == [
        f"attempts={value} is not a whole number from 1 to 5.",
        "Set attempts= to one",
    ]


@pytest.mark.parametrize("value", [float("nan"), 2.0, "x", False])
def test_bad_shares(value):
    with pytest.raises(UserError, match="is not a number from 0 to 1"):
        check_number("share", value, 0, 1, whole=False)
