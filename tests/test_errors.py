"""Two lines and the nearest name."""

import re
from pathlib import Path

import pytest

import unlearnkit
from unlearnkit.errors import UserError, beginning, exit_code, first_line, nearest


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


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\n  bad value \nmore")) == "bad value"
    assert first_line(ValueError("bad value"), 3) == "bad"
    assert first_line(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("most", [14, 17, 20, 200])
def test_a_cut_leaves_no_part_of_a_secret(most, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "wXy7zAbCd9EfG")
    for text in ("address of wXy7zAbCd9EfG", "address of http://ann:wXy7zAbCd9EfG@host"):
        for cut in (beginning(text, most), first_line(ValueError(text), most)):
            assert "wXy" not in cut and len(cut) <= most


def test_what_came_from_elsewhere_is_cut_here_alone():
    where = r"\b[\w.()\[\]]*\[: ?"
    cut = re.compile(
        rf"(error|arrived|content|reason){where}\d+\]|(why|question|prompt|answer|line|value){where}\d\d+\]"
    )
    for path in Path(unlearnkit.__file__).parent.rglob("*.py"):
        assert not cut.search(path.read_text(encoding="utf-8")), path
