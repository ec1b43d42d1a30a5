"""Two lines and the nearest name."""

import pytest

from unlearnkit.errors import UserError, nearest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("retian", " Did you mean 'retain'?"),
        ("forgets", " Did you mean 'forget'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_nearest(name, expected):
    assert nearest(name, ["forget", "retain", "safe"]) == expected


def test_nearest_takes_mappings_and_generators():
    assert nearest("sku2", {"sku": 1, "ga": 2}) == " Did you mean 'sku'?"
    assert nearest("sku2", (name for name in ("ga", "sku"))) == " Did you mean 'sku'?"
    assert nearest("sku", []) == ""


def test_two_lines():
    error = UserError("what arrived", "the fix")
    assert str(error) == "what arrived\nthe fix"
    assert (error.what, error.fix) == ("what arrived", "the fix")
