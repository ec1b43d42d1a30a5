"""The cache: made once for the same content, by one process; a damaged entry is made anew and never used."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from forked import on_ranks
from safetensors.numpy import load_file, save_file

from unlearnkit import cache as module
from unlearnkit.cache import find_entry, load_or_make, place
from unlearnkit.errors import UserError
from unlearnkit.records.record import Record, read_parquet, write_parquet

RECORDS = [Record("normal", "retain-001", "a?", "b", 2, True, reference_log_probs=[-0.5, -1.0])]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def model(made):
    (made / "tiny").mkdir()
    save_file({"w": np.arange(64.0)}, made / "tiny" / "model.safetensors")
    (made / "tiny" / "config.json").write_text('{"a": 1}')
    (made / "tiny" / "chat_template.jinja").write_text("{{ messages }}")


def tasks(made):
    (made / "task.yaml").write_text("task: x\n")
    (made / "task_test.jsonl").write_text('{"a": 1}\n' * 9)


# Every form of entry there is: (what fills it, what is read of it)
FORMS = {
    "records": (lambda made: write_parquet(RECORDS, made / "r.parquet"), lambda e: read_parquet(e / "r.parquet")),
    "npy": (
        lambda made: np.save(made / "l.npy", np.arange(9.0)),
        lambda e: np.load(e / "l.npy", allow_pickle=False).tolist(),
    ),
    "npz": (
        lambda made: np.savez(made / "l.npz", a=np.arange(9.0)),
        lambda e: np.load(e / "l.npz", allow_pickle=False)["a"].tolist(),
    ),
    "json": (lambda made: (made / "t.json").write_text('["é", 1]'), lambda e: json.loads((e / "t.json").read_text())),
    "safetensors": (
        lambda made: save_file({"m": np.eye(8)}, made / "m.safetensors"),
        lambda e: load_file(e / "m.safetensors")["m"].tolist(),
    ),
    "model": (model, lambda e: load_file(e / "tiny" / "model.safetensors")["w"].tolist()),
    "tasks": (tasks, lambda e: (e / "task_test.jsonl").read_text()),
}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbled(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def garbled_in_silence(path):
    """One bit, with the size and the date that the file had."""
    about = path.stat()
    garbled(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def foreign(path):
    path.write_bytes(b'{"kind": "other"}')


def directory(path):
    path.unlink()
    path.mkdir()


def elsewhere(path):
    path.unlink()
    path.symlink_to("/nowhere/at/all")


DAMAGES = {
    "cut": cut,
    "emptied": lambda path: path.write_bytes(b""),
    "garbled": garbled,
    "garbled in silence": garbled_in_silence,
    "foreign": foreign,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "a directory": directory,
    "missing": lambda path: path.unlink(),
    "a dead link": elsewhere,
}


def files(entry):
    return sorted(path.relative_to(entry).as_posix() for path in entry.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_never_used(form, damage, capsys):
    make, read = FORMS[form]
    first = load_or_make(form, {"a": 1}, make, read)
    entry = find_entry(form, {"a": 1})
    made = []
    # A blank line behind the JSON of the entry says nothing else.
    names = [name for name in files(entry) if damage != "longer" or name != "entry.json"]
    for number, name in enumerate(names, start=1):
        DAMAGES[damage](entry / name)
        assert find_entry(form, {"a": 1}) is None
        assert load_or_make(form, {"a": 1}, lambda path: made.append(path) or make(path), read) == first
        told = capsys.readouterr()
        assert len(made) == number and told.err == "" and told.out.count("\n") == 1
        assert told.out.startswith(f"The cache's {entry} is damaged (") and told.out.endswith("it is made anew\n")
        assert load_or_make(form, {"a": 1}, None, read) == first and capsys.readouterr().out == ""
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def emptied(entry):
    shutil.rmtree(entry)
    entry.mkdir()


def a_file(entry):
    shutil.rmtree(entry)
    entry.write_text("x")


def a_link(entry):
    shutil.rmtree(entry)
    entry.symlink_to("/nowhere/at/all")


def another_entry(entry):
    """A whole one, of other content."""
    other = load_or_make("json", {"a": 2}, lambda made: (made / "t.json").write_text("[2]"), lambda e: e)
    shutil.rmtree(entry)
    shutil.copytree(other, entry)


@pytest.mark.parametrize(
    "damage",
    [emptied, a_file, a_link, another_entry, lambda entry: (entry / "more.json").write_text("[]")],
    ids=["emptied", "a file", "a link", "another", "one file more"],
)
def test_a_damaged_entry_is_never_used(damage, capsys):
    make, read = FORMS["json"]
    entry = load_or_make("json", {"a": 1}, make, lambda e: e)
    damage(entry)
    assert load_or_make("json", {"a": 1}, make, read) == ["é", 1]
    assert capsys.readouterr().out.count("made anew") == 1 and files(entry) == ["entry.json", "t.json"]


def test_an_entry_says_what_it_is():
    entry = load_or_make("json", {"seed": 3, "rows": ["x" * 3000], "deep": {"a": 1.0}}, FORMS["json"][0], lambda e: e)
    told = json.loads((entry / "entry.json").read_text())
    assert told["kind"] == "json" and list(told["files"]) == ["t.json"]
    assert told["content"]["seed"] == 3 and told["content"]["deep"] == {"a": 1.0}
    assert told["content"]["rows"].startswith("sha256 ") and place("json", {"a": 1}).parent == entry.parent


def test_another_kind_or_form_is_another_entry(monkeypatch):
    places = {place("a", 1), place("b", 1)}
    monkeypatch.setattr(module, "FORM", -1)
    assert len({*places, place("a", 1)}) == 3


def test_nothing_is_kept_of_what_failed(folder):
    def fails(made):
        (made / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        load_or_make("json", 1, fails, lambda e: e)
    assert find_entry("json", 1) is None and not list(folder.rglob("*half*")) and not list(folder.rglob("*.partial"))
    assert load_or_make("json", 1, *FORMS["json"]) == ["é", 1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_two_lines(number, folder):
    def full(made):
        raise OSError(number, os.strerror(number))

    with pytest.raises(UserError) as told:
        load_or_make("json", 1, full, lambda e: e)
    assert told.value.what == f"The cache {folder / 'json'} cannot be written: {os.strerror(number)}"
    assert "UNLEARNKIT_CACHE=FOLDER" in told.value.fix


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x", "/data"), ConnectionRefusedError(111, "x")])
def test_what_is_not_the_caches_fault_is_not_called_so(error):
    def fails(made):
        raise error

    with pytest.raises(type(error)):
        load_or_make("json", 1, fails, lambda e: e)


def test_a_cache_that_cannot_be_is_two_lines(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="cannot be made.*\n.*UNLEARNKIT_CACHE=FOLDER"):
        load_or_make("json", 1, *FORMS["json"])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "json").write_text("")
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="cannot be written"):
        load_or_make("json", 1, *FORMS["json"])


PROGRAM = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from unlearnkit.cache import load_or_make
    def make(made):
        with open(sys.argv[1], "a") as file:
            file.write("made\\n")
        (made / "half").write_text("x")
        time.sleep(float(sys.argv[2]))
        (made / "whole").write_text("y")
    print(load_or_make("slow", 1, make, lambda entry: (entry / "whole").read_text()), flush=True)
""")


def started(log, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(log), str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until(log):
    end = time.monotonic() + 60
    while not log.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_several_processes_one_makes_it_and_the_others_wait(tmp_path, folder):
    log = tmp_path / "log"
    runs = [started(log, 1)]
    until(log)
    runs += [started(log, 1) for _ in range(2)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0] * 3, said
    assert log.read_text() == "made\n" and [out.splitlines()[-1] for out, _ in said] == ["y"] * 3
    assert not list(folder.rglob("*.lock")) and not list(folder.rglob("*.partial"))


def test_the_lock_of_a_killed_process_is_free_and_its_litter_goes(tmp_path, folder):
    log = tmp_path / "log"
    first = started(log, 100)
    until(log)
    second = started(log, 0)
    assert "Another process is making slow" in second.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.communicate(timeout=60)[0] == "y\n" and log.read_text() == "made\n" * 2
    assert files(place("slow", 1)) == ["entry.json", "half", "whole"]
    assert not list(folder.rglob("*.partial"))


RANKS = textwrap.dedent("""
    import sys
    from pathlib import Path
    import torch  # before the cache: its ranks must be found
    from unlearnkit import ranks
    from unlearnkit.cache import find_entry, load_or_make
    ranks.start()
    said = []
    def make(made):
        said.append(ranks.shared([1, 2, 3], lambda part: [10 * n for n in part]))
        if ranks.is_first():
            (made / "whole").write_text("y")
    read = lambda entry: (entry / "whole").read_text()
    for together in (True, False):
        said.append(load_or_make("slow", together, make, read, together=together))
    with open(f"{sys.argv[1]}-{ranks.rank()}", "w") as file:
        file.write(str(said))
    ranks.end()
""")


def test_two_ranks_make_it_together_or_rank_zero_alone(tmp_path):
    done = on_ranks(2, "-c", RANKS, str(tmp_path / "said"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "said-0").read_text() == "[[10, 20, 30], 'y', [10, 20, 30], 'y']"
    assert (tmp_path / "said-1").read_text() == "[[10, 20, 30], 'y', 'y']"
