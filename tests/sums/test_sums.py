"""Digests of what a folder holds: noted before a file is there, read by sha256sum, and no lie after a kill."""

import shutil
import subprocess

import pytest

from unlearnkit import sums
from unlearnkit.errors import UserError
from unlearnkit.files import whole, write


@pytest.fixture
def folder(tmp_path):
    sums.keep(tmp_path)
    yield tmp_path
    sums.let_go(tmp_path)


def test_what_is_written_is_noted_and_a_change_is_found(folder):
    (folder / "records").mkdir()
    write(folder / "a.json", "1")
    write(folder / "records" / "b c.txt", "2")
    assert not sums.is_damaged(folder / "a.json") and not sums.is_damaged(folder / "records" / "b c.txt")
    for name in ("a.json", "records/b c.txt"):
        (folder / name).write_text("3")
        assert sums.is_damaged(folder / name)
        with pytest.raises(UserError, match="is damaged: it is not as it was written .SHA256SUMS.\nmend it"):
            sums.check(folder / name, "mend it")
    write(folder / "a.json", "4")
    assert not sums.is_damaged(folder / "a.json")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="there is no sha256sum")
def test_a_tool_that_everybody_has_reads_it(folder):
    for text in ("1", "2"):
        write(folder / "a.json", text)
    write(folder / "b.txt", "é")
    told = subprocess.run(["sha256sum", "--strict", "-c", sums.SUMS], cwd=folder, capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout == "a.json: OK\nb.txt: OK\n"


@pytest.mark.parametrize("moment", ["before", "noted", "after"])
def test_a_death_at_any_moment_leaves_a_whole_file(moment, folder, monkeypatch):
    write(folder / "a.json", "old")
    if moment == "before":
        with pytest.raises(KeyboardInterrupt), whole(folder / "a.json") as partial:
            partial.write_text("new")
            raise KeyboardInterrupt
    elif moment == "noted":
        with monkeypatch.context() as patched, pytest.raises(OSError):
            patched.setattr("unlearnkit.files.os.replace", lambda old, new: (_ for _ in ()).throw(OSError()))
            (folder / "b.partial").write_text("new")
            write(folder / "a.json", "new")
    else:
        (folder / "b.partial").write_text("new")
        with sums.renaming(folder / "a.json", folder / "b.partial"):
            (folder / "b.partial").replace(folder / "a.json")
            held = (folder / sums.SUMS).read_text()
        (folder / sums.SUMS).write_text(held)  # what a process leaves that dies just then
    assert not sums.is_damaged(folder / "a.json")
    assert (folder / "a.json").read_text() == ("new" if moment == "after" else "old")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"zz  a.json\n", b"a.json", b"0" * 64 + b" a.json\n"])
def test_a_list_that_says_nothing_takes_nothing_away(content, folder):
    write(folder / "a.json", "1")
    (folder / sums.SUMS).write_bytes(content)
    assert not sums.is_damaged(folder / "a.json")


def test_what_grows_and_what_is_made_again_has_no_sum(folder):
    for name in ("log.jsonl", "report.html"):
        write(folder / name, "1")
        (folder / name).write_text("2")
        assert not sums.is_damaged(folder / name)


def test_a_sealed_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "w.bin").write_bytes(b"1")
    (tmp_path / "README.md").write_text("x")
    sums.seal(tmp_path)
    assert list(sums.read(tmp_path)) == ["deep/w.bin"]
    (tmp_path / "deep" / "w.bin").write_bytes(b"2")
    assert sums.is_damaged(tmp_path / "deep" / "w.bin")
