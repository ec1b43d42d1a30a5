"""Names from a list or a file, and what is wrong with others."""

import pytest

from unlearnkit.build.names import read_names
from unlearnkit.errors import UserError


def test_a_list_and_a_file_give_the_same(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffAna  Lopez\r\n\n 1984 \nD\u00e9but".encode())
    assert read_names(["Ana Lopez", 1984, "D\u00e9but"]) == read_names(str(path)) == ["Ana Lopez", "1984", "D\u00e9but"]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (None, "No names are given."),
        ([], "names=[] holds no name."),
        ([" "], "names=[' '] holds no name."),
        (["Ana", " ANA"], "names has 'ANA' twice."),
        ([True], "names has True, which is no text."),
        ([None], "names has None, which is no text."),
        ("nowhere.txt", "names=nowhere.txt cannot be read: No such file or directory"),
    ],
)
def test_bad_names(given, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        read_names(given)
    assert caught.value.what == what and len(str(caught.value).splitlines()) == 2


def test_bad_files(tmp_path):
    for content, what in ((b"\n \n", "holds no name"), (b"Ana\nana", "'ana' twice"), (b"\xff\xfe", "is not UTF-8")):
        (tmp_path / "names").write_bytes(content)
        with pytest.raises(UserError, match=what):
            read_names(str(tmp_path / "names"))
    with pytest.raises(UserError, match="Is a directory"):
        read_names(str(tmp_path))
