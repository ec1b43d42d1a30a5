"""Two lines and the nearest name."""

import pytest

from unlearnkit.errors import UserError, exit_code, nearest


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


def test_a_command_ends_with_2_after_its_two_lines(capsys, monkeypatch):
    def fails():
        raise UserError("what arrived", "the fix")

    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert exit_code(lambda: print("made")) == 0 and exit_code(fails) == 2
    assert capsys.readouterr() == ("made\n", "what arrived\nthe fix\n")
    with pytest.raises(ZeroDivisionError):  # a defect is not hidden
        exit_code(lambda: print(1 / 0))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError):
        exit_code(fails)
