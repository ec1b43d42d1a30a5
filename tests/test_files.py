import json
import math
import os
import subprocess
import sys
import threading
import time

import pytest

from unlearnkit.files import only_one, partial_of, sweep, whole, write, write_numbers


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    path = tmp_path / "numbers.json"
    write(path, "old")
    with pytest.raises(RuntimeError, match="full disk"), whole(path) as partial:
        partial.write_text("ne")
        raise RuntimeError("full disk")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        write(path, "new")
    assert path.read_text() == "old"


def test_nothing_is_under_the_name_before_the_end(tmp_path):
    path = tmp_path / "numbers.json"
    with whole(path) as partial:
        partial.write_text("new")
        assert not path.exists() and partial.parent == tmp_path
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_half_a_surrogate_pair_is_replaced_where_that_is_asked(tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(UnicodeEncodeError):
        write(path, "a\ud83dé")
    assert not path.exists()
    write(path, "a\ud83dé", errors="replace")
    assert path.read_bytes() == b"a?\xc3\xa9"


def test_the_second_waits_and_says_so(tmp_path, capsys):
    order = []

    def second():
        with only_one(tmp_path / "lock", "waiting for the first"):
            order.append("second")

    other = threading.Thread(target=second)
    with only_one(tmp_path / "lock", "nobody is waited for"):
        other.start()
        while "waiting for the first" not in capsys.readouterr().out:
            time.sleep(0.01)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_failure_frees_the_lock(tmp_path, capsys):
    with pytest.raises(RuntimeError), only_one(tmp_path / "lock", "waiting"):
        raise RuntimeError
    with only_one(tmp_path / "lock", "waiting"):
        assert capsys.readouterr().out == ""


def test_numbers_that_are_not_known_are_null_and_infinite_ones_are_refused(tmp_path):
    path = tmp_path / "metrics.json"
    write_numbers(path, {"a": {"value": 1.5, "low": math.nan}, "b": [math.nan, 1e308, None, "NaN"], "c": (1,)})
    assert json.loads(path.read_text()) == {"a": {"value": 1.5, "low": None}, "b": [None, 1e308, None, "NaN"], "c": [1]}
    with pytest.raises(ValueError, match="Out of range float values"):
        write_numbers(path, {"a": math.inf})
    assert json.loads(path.read_text())["a"]["value"] == 1.5


def test_what_dead_processes_left_is_swept_and_what_living_ones_write_stays(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "records").mkdir()
    name = partial_of(tmp_path / "records" / "x.json").name
    of_the_dead = name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    kept = ["x.json", name, of_the_dead.replace("x.json.", "x.json.elsewhere-"), "mine.partial"]
    for one in (*kept, of_the_dead):
        (tmp_path / "records" / one).write_text("1")
    folder = tmp_path / "models" / of_the_dead
    (folder / "deep").mkdir(parents=True)
    sweep(tmp_path)
    assert sorted(path.name for path in (tmp_path / "records").iterdir()) == sorted(kept)
    assert not folder.exists()
